//! The configuration, from this slot's mgd.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::management_client::ManagementClient;
use holdfast_proto::v1::{ReportAppliedRequest, RouterConfig, SubscribeConfigurationRequest};
use tokio::sync::{oneshot, watch};

use crate::input::{CoreHandle, Input};

/// Pause between attempts to reach mgd.
const RETRY: Duration = Duration::from_millis(50);

/// How long a configuration waits for what ppmd knows: it answers at once, unless it is being restarted.
const BFD_HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Takes every committed configuration to the core and tells mgd what became of it. For ever.
pub async fn follow(arguments: DaemonArgs, core: CoreHandle, mut has_heard_bfd: watch::Receiver<bool>) {
    let channel = holdfast_ipc::channel(&arguments.run_dir().daemon_socket(&arguments.slot, "mgd"));
    let mut client = ManagementClient::new(channel).max_decoding_message_size(holdfast_ipc::CONFIGURATION_BYTES_MAX);
    loop {
        let request = SubscribeConfigurationRequest { daemon: "rpd".into() };
        if let Ok(stream) = client.subscribe_configuration(request).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(configuration)) = stream.message().await {
                hear_of_next_hops(&configuration, &mut has_heard_bfd, BFD_HEARD_WITHIN).await;
                apply(&mut client, &core, configuration).await;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A process that was restarted must not send packets to next hops that BFD has lost long ago, and be it for a moment: static routes that are
/// watched wait until the core has heard which those are.
async fn hear_of_next_hops(configuration: &RouterConfig, has_heard_bfd: &mut watch::Receiver<bool>, within: Duration) {
    let mut routes = configuration.routing.iter().flat_map(|routing| &routing.static_routes);
    if routes.any(|route| route.bfd.is_some()) {
        let _ = tokio::time::timeout(within, has_heard_bfd.wait_for(|heard| *heard)).await;
    }
}

async fn apply(
    client: &mut ManagementClient<tonic::transport::Channel>,
    core: &CoreHandle,
    configuration: RouterConfig,
) {
    let commit_id = configuration.commit_id;
    let (sender, answer) = oneshot::channel();
    core.send(Input::Configuration(Box::new(configuration), sender)).await;
    let result = answer.await.unwrap_or_else(|_| Err("rpd is ending".into()));
    if let Err(message) = &result {
        tracing::error!(commit_id, "the configuration cannot be put in force: {message}");
    }
    let report = ReportAppliedRequest {
        daemon: "rpd".into(),
        commit_id,
        ok: result.is_ok(),
        message: result.err().unwrap_or_default(),
    };
    if let Err(status) = client.report_applied(report).await {
        tracing::warn!("mgd does not take the report on commit {commit_id}: {}", status.message());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_proto::v1::{BfdLiveness, RoutingConfig, StaticRoute};

    #[tokio::test]
    async fn watched_static_routes_wait_for_what_bfd_knows_and_nothing_else_does() {
        let with = |bfd| {
            let static_routes = vec![StaticRoute { bfd, ..Default::default() }];
            RouterConfig { routing: Some(RoutingConfig { static_routes, ..Default::default() }), ..Default::default() }
        };
        let (heard, mut has_heard) = watch::channel(false);
        let soon = Duration::from_millis(500);
        let waits = async |bfd, within, has_heard: &mut watch::Receiver<bool>| {
            let began = std::time::Instant::now();
            hear_of_next_hops(&with(bfd), has_heard, within).await;
            began.elapsed() >= soon
        };
        let long = Duration::from_secs(20);
        assert!(!waits(None, long, &mut has_heard).await);
        assert!(waits(Some(BfdLiveness::default()), soon, &mut has_heard).await, "it is not waited for for ever");
        let later = tokio::spawn(async move {
            tokio::time::sleep(soon).await;
            heard.send_replace(true);
            heard
        });
        assert!(waits(Some(BfdLiveness::default()), long, &mut has_heard).await);
        assert!(!waits(Some(BfdLiveness::default()), long, &mut has_heard).await);
        drop(later.await);
    }
}
