//! The committed configuration from the slot's own mgd, and the answers to it. Reconnects for ever.

use std::path::PathBuf;

use holdfast_proto::v1;
use holdfast_proto::v1::management_client::ManagementClient;
use tokio::sync::watch;

use crate::limits::{CONFIGURATION_RETRY, CONFIGURATION_RETRY_MAX};

/// Follows the configuration; only the newest counts, so a `watch` holds it.
pub async fn follow(mgd: PathBuf, newest: watch::Sender<Option<v1::RouterConfig>>) {
    let mut wait = CONFIGURATION_RETRY;
    loop {
        let mut client = ManagementClient::new(holdfast_ipc::channel(&mgd))
            .max_decoding_message_size(holdfast_ipc::CONFIGURATION_BYTES_MAX);
        let request = v1::SubscribeConfigurationRequest { daemon: "pfed".into() };
        match client.subscribe_configuration(request).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                while let Ok(Some(configuration)) = stream.message().await {
                    wait = CONFIGURATION_RETRY;
                    newest.send_replace(Some(configuration));
                }
                tracing::debug!("mgd has ended the stream of configurations; connecting again");
            }
            Err(status) => tracing::debug!("no configuration from mgd yet: {}", status.message()),
        }
        if newest.is_closed() {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(CONFIGURATION_RETRY_MAX);
    }
}

/// Tells mgd what became of a configuration, until it has heard or there is something newer to tell.
pub async fn report(mgd: PathBuf, mut newest: watch::Receiver<Option<v1::ReportAppliedRequest>>) {
    let mut client = ManagementClient::new(holdfast_ipc::channel(&mgd));
    while newest.changed().await.is_ok() {
        let mut wait = CONFIGURATION_RETRY;
        loop {
            let Some(request) = newest.borrow_and_update().clone() else { break };
            match client.report_applied(request).await {
                Ok(_) => break,
                Err(status) => tracing::debug!("mgd did not take the report: {}", status.message()),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(CONFIGURATION_RETRY_MAX);
        }
    }
}
