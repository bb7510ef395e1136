//! mgd's part in start-up and in a switchover.

use std::{fs, time::Duration};

use holdfast_ipc::RoleArg;
use holdfast_proto::v1::{
    ActivateRequest, CommitRequest, FollowRequest, FreezeRequest, PrepareRequest, ReportAppliedRequest, Role,
    StatusRequest, SubscribeConfigurationRequest, SynchronizationRequest, TerminateRequest, VerifyRequest,
    daemon_client::DaemonClient, management_client::ManagementClient,
};

use super::router::{CONFIG, Router, execute, status_until};

async fn apply(channel: &tonic::transport::Channel, daemon: &str, ok: bool) {
    let mut client = ManagementClient::new(channel.clone());
    let request = SubscribeConfigurationRequest { daemon: daemon.into() };
    let mut snapshots = client.subscribe_configuration(request).await.unwrap().into_inner();
    let snapshot = snapshots.message().await.unwrap().unwrap();
    assert_eq!(snapshot.bgp.unwrap().neighbors.len(), 2);
    let message = if ok { String::new() } else { "eth9 does not exist".into() };
    client
        .report_applied(ReportAppliedRequest { daemon: daemon.into(), commit_id: snapshot.commit_id, ok, message })
        .await
        .unwrap();
}

#[tokio::test]
async fn ready_once_both_daemons_have_applied() {
    let router = Router::new();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let status = status_until(&mgd, |status| !status.ready).await;
    assert_eq!(status.detail, "waiting for rpd and pfed to apply commit 1");
    apply(&mgd, "rpd", true).await;
    assert_eq!(status_until(&mgd, |status| !status.ready).await.detail, "waiting for pfed to apply commit 1");
    apply(&mgd, "pfed", true).await;
    status_until(&mgd, |status| status.ready && status.error.is_empty() && status.role() == Role::Primary).await;
    let stored = fs::read_to_string(router.directory.path().join("state/config/active.conf")).unwrap();
    assert!(stored.starts_with("## Last commit: 1 ") && stored.contains("host-name r1;"), "{stored}");
}

#[tokio::test]
async fn a_daemon_that_cannot_apply_is_an_error_of_the_start() {
    let router = Router::new();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    apply(&mgd, "pfed", false).await;
    let status = status_until(&mgd, |status| !status.error.is_empty()).await;
    assert_eq!(status.error, "pfed cannot apply commit 1: eth9 does not exist");
    assert!(!status.ready);
}

#[tokio::test]
async fn a_bad_or_missing_configuration_is_an_error_of_the_start() {
    let router = Router::new();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, false).await;
    assert!(status_until(&mgd, |status| !status.error.is_empty()).await.error.contains("active.conf does not exist"));
    let router = Router::new();
    fs::write(router.config(), "system { hostname x; }").unwrap();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let error = status_until(&mgd, |status| !status.error.is_empty()).await.error;
    assert!(error.contains("r.conf:1:10: [system] unknown statement \"hostname\""), "{error}");
    assert!(!router.directory.path().join("state/config/active.conf").exists());
}

#[tokio::test]
async fn a_restarted_primary_reads_what_was_committed() {
    let router = Router::new();
    let (state, _) = router.mgd("re0", RoleArg::Primary, true).await;
    let digest = state.digest();
    state.stop.send_replace(true);
    fs::remove_file(router.config()).unwrap();
    let (state, _) = router.mgd("re0", RoleArg::Primary, false).await;
    assert_eq!(state.digest(), digest);
    assert_eq!(state.configuration().unwrap().commit_id, 1);
}

#[tokio::test]
async fn a_backup_fetches_follows_and_takes_over() {
    let router = Router::new().with_chassis();
    let (old_state, old) = router.mgd("re0", RoleArg::Primary, true).await;
    let (new_state, new) = router.mgd("re1", RoleArg::Backup, false).await;
    status_until(&new, |status| status.ready).await;
    let (mut old_daemon, mut new_daemon) = (DaemonClient::new(old.clone()), DaemonClient::new(new.clone()));
    let synchronization = new_daemon.synchronization(SynchronizationRequest {}).await.unwrap().into_inner();
    assert!(synchronization.synchronized && synchronization.tables[0].equal, "{synchronization:?}");
    assert_eq!(synchronization.tables[0].table, "configuration");
    for channel in [&old, &new] {
        apply(channel, "rpd", true).await;
        apply(channel, "pfed", true).await;
    }
    let prepare = new_daemon.prepare(PrepareRequest { run_id: 1, deadline_ms: 1000 }).await.unwrap().into_inner();
    assert!(prepare.ready, "{prepare:?}");

    // A commit while both run is followed.
    let other = holdfast_config::Configuration::parse("t", CONFIG.replace("r1", "r2"), &old_state.schema).unwrap();
    let digest = other.digest().to_vec();
    let committed =
        crate::store::Store::new(&old_state.state_dir).commit(other, "t", 1, "", &old_state.schema).unwrap();
    old_state.publish(committed);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while new_state.configuration().is_none_or(|configuration| configuration.configuration.digest() != digest) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    apply(&new, "rpd", true).await;
    apply(&new, "pfed", true).await;

    // The switch: epoch 1 -> 2.
    let frozen = old_daemon.freeze(FreezeRequest { epoch: 1 }).await.unwrap().into_inner();
    assert!(
        old_daemon.commit(CommitRequest { epoch: 1 }).await.is_err(),
        "a frozen mgd is not committed without being activated"
    );
    let request = ActivateRequest { epoch: 2, expected_tables: frozen.tables.clone(), ..Default::default() };
    assert!(new_daemon.activate(request).await.unwrap().into_inner().ok);
    let refused = execute(&new, "request system reboot in-service no-confirm", "text", false).await;
    assert!(refused.error().contains("not primary"));
    new_daemon.commit(CommitRequest { epoch: 2 }).await.unwrap();
    let verify = new_daemon.verify(VerifyRequest {}).await.unwrap().into_inner();
    assert!(verify.done && verify.ok, "{verify:?}");
    assert!(new_daemon.freeze(FreezeRequest { epoch: 1 }).await.is_err(), "an epoch that is over is refused");

    // The old one follows the new one, whose configuration changes meanwhile.
    old_daemon.follow(FollowRequest { epoch: 2 }).await.unwrap();
    old_daemon.follow(FollowRequest { epoch: 2 }).await.expect("asked twice is no mistake");
    let other = holdfast_config::Configuration::parse("t", CONFIG.replace("r1", "r3"), &new_state.schema).unwrap();
    let digest = other.digest().to_vec();
    new_state
        .publish(crate::store::Store::new(&new_state.state_dir).commit(other, "t", 1, "", &new_state.schema).unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while old_state.configuration().is_none_or(|configuration| configuration.configuration.digest() != digest) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let follows = old_daemon.synchronization(SynchronizationRequest {}).await.unwrap().into_inner();
    assert!(follows.synchronized, "{follows:?}");

    // And the way back: the old one goes on from where it stands.
    old_daemon.activate(ActivateRequest { epoch: 3, ..Default::default() }).await.unwrap();
    old_daemon.commit(CommitRequest { epoch: 3 }).await.unwrap();
    assert_eq!(old_daemon.status(StatusRequest {}).await.unwrap().into_inner().role(), Role::Primary);
    new_daemon.terminate(TerminateRequest::default()).await.unwrap();
    assert!(*new_state.stop.borrow());
}

#[tokio::test]
async fn a_configuration_that_differs_is_not_activated() {
    let router = Router::new();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let mut daemon = DaemonClient::new(mgd);
    let frozen = daemon.freeze(FreezeRequest { epoch: 1 }).await.unwrap().into_inner();
    let mut expected = frozen.tables;
    expected[0].digest ^= 1;
    let reply = daemon
        .activate(ActivateRequest { epoch: 2, expected_tables: expected, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert!(!reply.ok && reply.reason.contains("not the one"), "{reply:?}");
    assert_eq!(daemon.status(StatusRequest {}).await.unwrap().into_inner().role(), Role::Frozen);
}
