//! A backup's configuration: fetched from the primary's mgd, read with our own models, never written to disk.

use std::sync::Arc;

use holdfast_config::Configuration;
use holdfast_proto::v1::{
    self, GetConfigurationReply, GetConfigurationRequest, Role, management_client::ManagementClient,
};

use crate::{
    limits,
    state::{NAME, State, table_digest},
    store::Committed,
};

/// What is known of the primary's configuration.
#[derive(Debug, Default, Clone)]
pub struct PeerView {
    /// Its digest.
    pub digest: Option<v1::TableDigest>,
    /// Why we do not have it.
    pub trouble: String,
}

/// Follows the primary's configuration for as long as this process is a backup.
pub async fn follow(state: Arc<State>) {
    let path = state.run_dir.daemon_socket(state.peer_slot, NAME);
    let mut client =
        ManagementClient::new(holdfast_ipc::channel(&path)).max_decoding_message_size(limits::MESSAGE_BYTES_MAX);
    while state.term().role == Role::Backup {
        let request = client.get_configuration(GetConfigurationRequest {});
        let trouble = match tokio::time::timeout(limits::PEER_DEADLINE, request).await {
            Ok(Ok(reply)) => take(&state, reply.into_inner()),
            Ok(Err(status)) => {
                format!("mgd of {} does not give its configuration: {}", state.peer_slot, status.message())
            }
            Err(_) => format!("mgd of {} did not give its configuration in time", state.peer_slot),
        };
        let changed = std::mem::replace(&mut state.lock().peer.trouble, trouble.clone()) != trouble;
        if changed && !trouble.is_empty() {
            tracing::warn!("{trouble}");
        }
        tokio::time::sleep(limits::PEER_POLL).await;
    }
}

/// Takes what the primary has; the answer is the trouble with it, empty when there is none.
fn take(state: &State, reply: GetConfigurationReply) -> String {
    // The role may have changed while the answer was on its way.
    if state.term().role != Role::Backup {
        return String::new();
    }
    let digest = table_digest(&reply.digest);
    let known = state.configuration();
    let have =
        known.is_some_and(|known| known.commit_id == reply.commit_id && known.configuration.digest() == reply.digest);
    state.lock().peer.digest = Some(digest);
    if have {
        return String::new();
    }
    let name = format!("configuration of {}", state.peer_slot);
    match Configuration::parse(&name, &reply.text, &state.schema) {
        Ok(configuration) => {
            tracing::info!(commit = reply.commit_id, "configuration fetched from {}", state.peer_slot);
            let (commit_id, unix_ms, user) = (reply.commit_id, reply.committed_unix_ms, reply.committed_by);
            let comment = String::new();
            state.publish(Committed { commit_id, unix_ms, user, comment, configuration });
            String::new()
        }
        Err(errors) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            format!("this version does not understand the configuration ({} mistakes): {first}", errors.len())
        }
    }
}
