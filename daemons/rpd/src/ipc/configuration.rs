//! The configuration, from this slot's mgd.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::management_client::ManagementClient;
use holdfast_proto::v1::{ReportAppliedRequest, RouterConfig, SubscribeConfigurationRequest};
use tokio::sync::oneshot;

use crate::input::{CoreHandle, Input};

/// Pause between attempts to reach mgd.
const RETRY: Duration = Duration::from_millis(50);

/// Takes every committed configuration to the core and tells mgd what became of it. For ever.
pub async fn follow(arguments: DaemonArgs, core: CoreHandle) {
    let channel = holdfast_ipc::channel(&arguments.run_dir().daemon_socket(&arguments.slot, "mgd"));
    let mut client = ManagementClient::new(channel);
    loop {
        let request = SubscribeConfigurationRequest { daemon: "rpd".into() };
        if let Ok(stream) = client.subscribe_configuration(request).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(configuration)) = stream.message().await {
                apply(&mut client, &core, configuration).await;
            }
        }
        tokio::time::sleep(RETRY).await;
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
