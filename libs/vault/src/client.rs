//! The blocking client, for plain threads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use holdfast_kernel::descriptor::{recv_with_fds, send_with_fds};
use holdfast_proto::v1::vault_request::Operation;
use holdfast_proto::v1::{VaultDeposit, VaultEntry, VaultList, VaultRemove, VaultReply, VaultRequest, VaultWithdraw};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use prost::Message;

use crate::{VaultError, limits, socket};

/// A connection to the vault. Reconnects by itself when chassisd was replaced.
#[derive(Debug)]
pub struct VaultClient {
    path: PathBuf,
    name: String,
    epoch: u64,
    connection: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl VaultClient {
    /// Connects; `client_name` ("re0/rpd") appears in messages and the log.
    pub fn connect(path: &Path, client_name: &str) -> Result<Self, VaultError> {
        let mut client = VaultClient {
            path: path.into(),
            name: client_name.into(),
            epoch: 0,
            connection: None,
            buffer: vec![0; limits::PACKET_MAX_LEN],
        };
        client.connection = Some(client.open()?);
        Ok(client)
    }

    /// The term that later requests carry.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Keeps a duplicate of `descriptor` under `name`, in place of an earlier one.
    pub fn deposit(
        &mut self,
        name: &str,
        kind: &str,
        metadata: &[u8],
        descriptor: BorrowedFd<'_>,
    ) -> Result<(), VaultError> {
        let deposit = VaultDeposit { name: name.into(), kind: kind.into(), metadata: metadata.to_vec() };
        self.call(Operation::Deposit(deposit), Some(descriptor)).map(drop)
    }

    /// A duplicate of what is kept under `name`, and its metadata; the vault keeps its own.
    pub fn withdraw(&mut self, name: &str) -> Result<(OwnedFd, Vec<u8>), VaultError> {
        let (reply, descriptor) = self.call(Operation::Withdraw(VaultWithdraw { name: name.into() }), None)?;
        let descriptor = descriptor.ok_or(VaultError::Descriptor("the vault answered without the descriptor"))?;
        Ok((descriptor, reply.metadata))
    }

    /// Every entry under `prefix` of that kind (empty: any), as (name, descriptor, metadata), in order of names.
    pub fn withdraw_many(&mut self, prefix: &str, kind: &str) -> Result<Vec<(String, OwnedFd, Vec<u8>)>, VaultError> {
        let mut withdrawn = Vec::new();
        for entry in self.list(prefix)? {
            if kind.is_empty() || entry.kind == kind {
                let (descriptor, metadata) = self.withdraw(&entry.name)?;
                withdrawn.push((entry.name, descriptor, metadata));
            }
        }
        Ok(withdrawn)
    }

    /// Has the vault close its duplicate.
    pub fn remove(&mut self, name: &str) -> Result<(), VaultError> {
        self.call(Operation::Remove(VaultRemove { name: name.into() }), None).map(drop)
    }

    /// What is kept under `prefix`, in order of names.
    pub fn list(&mut self, prefix: &str) -> Result<Vec<VaultEntry>, VaultError> {
        let mut entries: Vec<VaultEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(String::new(), |entry| entry.name.clone());
            let (reply, _) = self.call(Operation::List(VaultList { prefix: prefix.into(), after }), None)?;
            let more = reply.more && !reply.entries.is_empty();
            entries.extend(reply.entries);
            if !more || entries.len() > limits::ENTRIES_MAX {
                return Ok(entries);
            }
        }
    }

    fn open(&self) -> Result<OwnedFd, VaultError> {
        let failed = |source| VaultError::Socket { path: self.path.clone(), source };
        let connection = socket::connect(&self.path).map_err(failed)?;
        let timeout = TimeVal::milliseconds(limits::CALL_TIMEOUT.as_millis() as i64);
        setsockopt(&connection, sockopt::ReceiveTimeout, &timeout).map_err(|error| failed(error.into()))?;
        setsockopt(&connection, sockopt::SendTimeout, &timeout).map_err(|error| failed(error.into()))?;
        Ok(connection)
    }

    fn call(
        &mut self,
        operation: Operation,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(VaultReply, Option<OwnedFd>), VaultError> {
        let request = VaultRequest { epoch: self.epoch, client: self.name.clone(), operation: Some(operation) };
        let packet = request.encode_to_vec();
        if packet.len() > limits::PACKET_MAX_LEN {
            let (observed, limit) = (packet.len(), limits::PACKET_MAX_LEN);
            return Err(VaultError::Length { what: "a request", observed, limit });
        }
        let (reply, descriptor) = self.exchange(&packet, descriptor).map_err(|source| {
            // A late reply would be taken for that of the next request.
            self.connection = None;
            VaultError::Socket { path: self.path.clone(), source }
        })?;
        if reply.error.is_empty() { Ok((reply, descriptor)) } else { Err(VaultError::Refused(reply.error)) }
    }

    fn exchange(
        &mut self,
        packet: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<(VaultReply, Option<OwnedFd>)> {
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        let connection = match self.connection.take() {
            Some(connection) if send_with_fds(connection.as_fd(), packet, &descriptors).is_ok() => connection,
            // Gone since the last call (nothing of the packet went): once more on a new connection.
            _ => {
                let connection = self.open().map_err(io::Error::other)?;
                send_with_fds(connection.as_fd(), packet, &descriptors)?;
                connection
            }
        };
        let (length, mut descriptors) = recv_with_fds(connection.as_fd(), &mut self.buffer, 1)?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the vault closed the connection"));
        }
        let reply = VaultReply::decode(&self.buffer[..length])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.connection = Some(connection);
        Ok((reply, descriptors.pop()))
    }
}
