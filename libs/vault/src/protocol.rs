//! One request packet to one reply packet.

use std::os::fd::OwnedFd;

use holdfast_proto::v1::vault_request::Operation;
use holdfast_proto::v1::{VaultDeposit, VaultEntry, VaultReply, VaultRequest};
use prost::Message;

use crate::vault::Entry;
use crate::{Vault, VaultError, limits};

/// What goes back: a packet, and the descriptor beside it.
#[derive(Debug, Default)]
pub struct Reply {
    /// An encoded [`VaultReply`].
    pub packet: Vec<u8>,
    /// A duplicate of the one withdrawn.
    pub descriptor: Option<OwnedFd>,
}

/// Answers one request. Never fails: what goes wrong is told in the reply, what was not kept is closed.
pub fn answer(vault: &mut Vault, packet: &[u8], descriptors: Vec<OwnedFd>, now_unix_ms: u64) -> Reply {
    match perform(vault, packet, descriptors, now_unix_ms) {
        Ok((reply, descriptor)) => Reply { packet: packet_of(&reply), descriptor },
        Err(error) => {
            match error {
                // Asking for what may not be there is how a starting engine finds out.
                VaultError::NotFound(_) => tracing::debug!(%error, "a vault request was refused"),
                _ => tracing::warn!(%error, "a vault request was refused"),
            }
            let reply = VaultReply { error: error.to_string(), ..VaultReply::default() };
            Reply { packet: packet_of(&reply), descriptor: None }
        }
    }
}

/// Never empty: on a SOCK_SEQPACKET socket an empty packet cannot be told from the end of the connection, so a reply
/// that says nothing spells out its empty `error`.
fn packet_of(reply: &VaultReply) -> Vec<u8> {
    let packet = reply.encode_to_vec();
    if packet.is_empty() { vec![0x0a, 0x00] } else { packet }
}

type Performed = (VaultReply, Option<OwnedFd>);

fn perform(
    vault: &mut Vault,
    packet: &[u8],
    mut descriptors: Vec<OwnedFd>,
    now_unix_ms: u64,
) -> Result<Performed, VaultError> {
    let request = VaultRequest::decode(packet).map_err(|error| VaultError::Malformed(error.to_string()))?;
    vault.check_epoch(request.epoch)?;
    let operation = request.operation.ok_or_else(|| VaultError::Malformed("it names no operation".into()))?;
    let descriptor = descriptors.pop();
    if !matches!(operation, Operation::Deposit(_)) && descriptor.is_some() {
        return Err(VaultError::Descriptor("only a deposit carries a descriptor; this one was closed"));
    }
    match operation {
        Operation::Deposit(VaultDeposit { name, kind, metadata }) => {
            let descriptor = descriptor.ok_or(VaultError::Descriptor("a deposit must carry one descriptor"))?;
            let entry = Entry { descriptor, kind, metadata, epoch: request.epoch, deposited_unix_ms: now_unix_ms };
            vault.deposit(name, entry)?;
            Ok((VaultReply::default(), None))
        }
        Operation::Withdraw(withdraw) => {
            let entry = vault.get(&withdraw.name)?;
            let duplicate = entry
                .descriptor
                .try_clone()
                .map_err(|source| VaultError::Socket { path: withdraw.name.clone().into(), source })?;
            let (metadata, kind) = (entry.metadata.clone(), entry.kind.clone());
            Ok((VaultReply { metadata, kind, ..VaultReply::default() }, Some(duplicate)))
        }
        Operation::Remove(remove) => {
            vault.remove(&remove.name)?;
            Ok((VaultReply::default(), None))
        }
        Operation::List(list) => {
            let mut page = vault.list(&list.prefix, &list.after);
            let entries = page
                .by_ref()
                .take(limits::PAGE_ENTRIES_MAX)
                .map(|(name, entry)| VaultEntry { name: name.clone(), kind: entry.kind.clone(), epoch: entry.epoch })
                .collect();
            let more = page.next().is_some();
            Ok((VaultReply { entries, more, ..VaultReply::default() }, None))
        }
    }
}
