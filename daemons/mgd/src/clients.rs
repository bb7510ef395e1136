//! Questions to chassisd, rpd, pfed and ppmd: every one has a deadline, and every failure names who did not answer.

use std::{future::Future, path::PathBuf, time::Duration};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{
    chassis_client::ChassisClient, daemon_client::DaemonClient, forwarding_client::ForwardingClient,
    periodic_client::PeriodicClient, routing_client::RoutingClient,
};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

use crate::limits;

/// The process that serves the router whichever slot is primary, for messages.
pub const PPMD: &str = "ppmd";

/// Why a command cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The other process said no, in words meant for the operator.
    #[error("{0}")]
    Refused(String),
    /// The other process is not there.
    #[error("{who} does not answer ({reason}); see show system processes")]
    Unreachable {
        /// "rpd of re0"
        who: String,
        /// The transport's words.
        reason: String,
    },
    /// The other process took too long.
    #[error("{who} did not answer within {seconds} s; see show system processes")]
    Deadline {
        /// "rpd of re0"
        who: String,
        /// How long it was given.
        seconds: u64,
    },
    /// Not for this mgd to carry out; another one is primary, or is in a moment.
    #[error("{0}")]
    Elsewhere(String),
    /// Nobody listens to the command any more.
    #[error("the client has gone")]
    Gone,
}

/// Channels to the processes of this slot and to chassisd. They connect when used, and again when they break.
#[derive(Debug, Clone)]
pub struct Clients {
    slot: String,
    chassis: Channel,
    rpd: Channel,
    pfed: Channel,
    ppmd: Channel,
    ppmd_socket: PathBuf,
}

impl Clients {
    /// Channels for one slot.
    pub fn new(run_dir: &RunDir, slot: &str) -> Self {
        let channel = |name| holdfast_ipc::channel(&run_dir.daemon_socket(slot, name));
        let chassis = holdfast_ipc::channel(&run_dir.chassis_socket());
        let ppmd = holdfast_ipc::channel(&run_dir.periodic_socket());
        let ppmd_socket = run_dir.periodic_socket();
        Self { slot: slot.to_owned(), chassis, rpd: channel("rpd"), pfed: channel("pfed"), ppmd, ppmd_socket }
    }

    /// chassisd.
    pub fn chassis(&self) -> ChassisClient<Channel> {
        ChassisClient::new(self.chassis.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// rpd's views.
    pub fn routing(&self) -> RoutingClient<Channel> {
        RoutingClient::new(self.rpd.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// pfed's views.
    pub fn forwarding(&self) -> ForwardingClient<Channel> {
        ForwardingClient::new(self.pfed.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// Whether ppmd was started: it is when the first BFD session is wanted.
    pub fn has_periodic(&self) -> bool {
        self.ppmd_socket.exists()
    }

    /// ppmd's views.
    pub fn periodic(&self) -> PeriodicClient<Channel> {
        PeriodicClient::new(self.ppmd.clone()).max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// rpd as one of chassisd's daemons.
    pub fn rpd_daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(self.rpd.clone())
    }

    /// pfed as one of chassisd's daemons.
    pub fn pfed_daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(self.pfed.clone())
    }

    /// rpd by name and slot.
    pub fn rpd_name(&self) -> String {
        format!("rpd of {}", self.slot)
    }

    /// pfed by name and slot.
    pub fn pfed_name(&self) -> String {
        format!("pfed of {}", self.slot)
    }
}

/// Waits for an answer, but not for ever.
pub async fn ask<T>(
    who: &str,
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, AskError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refusal(who, &status)),
        Err(_) => Err(AskError::Deadline { who: who.to_owned(), seconds: deadline.as_secs() }),
    }
}

/// The next message of a stream, with the same patience for each.
pub async fn next<T>(who: &str, stream: &mut Streaming<T>) -> Result<Option<T>, AskError> {
    match tokio::time::timeout(limits::ANSWER_DEADLINE, stream.message()).await {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(status)) => Err(refusal(who, &status)),
        Err(_) => Err(AskError::Deadline { who: who.to_owned(), seconds: limits::ANSWER_DEADLINE.as_secs() }),
    }
}

fn refusal(who: &str, status: &Status) -> AskError {
    match status.code() {
        // What the transport makes of a broken or missing connection.
        Code::Unavailable | Code::Unknown | Code::Cancelled => {
            AskError::Unreachable { who: who.to_owned(), reason: status.message().to_owned() }
        }
        // And of one that broke in the middle of a message: such a status was made here, out of another error.
        _ if std::error::Error::source(status).is_some() => {
            AskError::Unreachable { who: who.to_owned(), reason: status.message().to_owned() }
        }
        Code::Unimplemented => AskError::Refused(format!("{who} runs a version that does not know this command")),
        _ => AskError::Refused(status.message().to_owned()),
    }
}
