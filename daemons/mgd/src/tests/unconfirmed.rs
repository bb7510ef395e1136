//! `commit confirmed`: what nobody confirms is taken back, whatever becomes of mgd meanwhile.

use std::{fs, path::PathBuf, time::Duration};

use holdfast_ipc::RoleArg;

use super::{
    configure::{Client, follower, ready, stored, takes_all},
    router::{Router, json, show, status_until},
};
use crate::state::State;

fn file(router: &Router) -> PathBuf {
    router.directory.path().join("state/config/unconfirmed.conf")
}

/// As if its time were over.
fn let_time_pass(router: &Router) {
    let text = fs::read_to_string(file(router)).unwrap();
    let (before, rest) = text.split_once("\"until_mono_ns\":").unwrap();
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    fs::write(file(router), format!("{before}\"until_mono_ns\":1{rest}")).unwrap();
}

async fn commit_becomes(state: &State, commit_id: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while state.configuration().is_none_or(|committed| committed.commit_id != commit_id) {
        assert!(tokio::time::Instant::now() < deadline, "commit {commit_id} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_nobody_confirms_is_taken_back() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    let output = client.ok("commit confirmed 5 comment \"a try\"").await;
    let waits = "Commit 2 by tester waits to be confirmed by a commit; without one, commit 1 comes back at ";
    assert!(output.starts_with(waits) && output.ends_with("\ncommit complete\n"), "{output}");
    assert!(show(&mgd, "show system commit").await.contains(waits));
    assert_eq!(json(&mgd, "show system commit").await["candidate"]["unconfirmed"]["back_to"], 1);
    assert!(Client::entered(&mgd).await.ok("exit").await.contains("Exiting"));
    assert!(stored(&router).contains("host-name r2;"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(state.configuration().unwrap().commit_id, 2, "its time is not over");
    let_time_pass(&router);
    commit_becomes(&state, 3).await;
    status_until(&mgd, |status| status.ready).await;
    assert!(stored(&router).contains("host-name r1;"));
    let commits = show(&mgd, "show system commit").await;
    assert!(commits.contains("commit 2 by tester was not confirmed: back to commit 1"), "{commits}");
    assert!(!commits.contains("waits to be confirmed") && !file(&router).exists());
}

#[tokio::test]
async fn any_commit_confirms() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    assert!(client.refused("commit confirmed").await.contains("nothing to be confirmed"));
    client.ok("set system host-name r2").await;
    client.ok("commit confirmed").await;
    assert_eq!(client.ok("commit check").await, "configuration check succeeds\n");
    assert!(file(&router).exists(), "a check confirms nothing");
    assert_eq!(client.ok("commit").await, "commit 2 is confirmed\ncommit complete: nothing was changed\n");
    assert!(!file(&router).exists());
    client.ok("set system host-name r3").await;
    client.ok("commit confirmed").await;
    client.ok("set system host-name r4").await;
    assert_eq!(client.ok("commit").await, "commit 3 is confirmed\ncommit complete\n");
    assert!(!file(&router).exists());
    assert_eq!(state.configuration().unwrap().commit_id, 4);
}

#[tokio::test]
async fn what_comes_back_is_what_was_in_force_before_the_first() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    client.ok("commit confirmed 5").await;
    client.ok("set system host-name r3").await;
    let output = client.ok("commit confirmed 5").await;
    assert!(output.contains("Commit 3 by tester waits") && output.contains("commit 1 comes back"), "{output}");
    let output = client.ok("commit confirmed 60").await;
    assert!(output.contains("commit 1 comes back") && output.ends_with("nothing was changed\n"), "{output}");
    // A commit that cannot be written leaves the way back of the one before it.
    client.ok("set system host-name r4").await;
    let beside = router.directory.path().join("state/config/active.new");
    fs::create_dir(&beside).unwrap();
    client.refused("commit confirmed 5").await;
    fs::remove_dir(&beside).unwrap();
    assert!(show(&mgd, "show system commit").await.contains("Commit 3 by tester waits"));
    let_time_pass(&router);
    commit_becomes(&state, 4).await;
    status_until(&mgd, |status| status.ready).await;
    assert!(stored(&router).contains("host-name r1;"));
    assert_eq!(client.ok("show system").await, "host-name r4;\n", "what is being edited is kept");
}

#[tokio::test]
async fn the_next_mgd_takes_it_back() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    client.ok("commit confirmed 5").await;
    state.stop.send_replace(true);
    let_time_pass(&router);
    let (state, next) = router.mgd("re0", RoleArg::Primary, false).await;
    follower(&next, "rpd", takes_all());
    follower(&next, "pfed", takes_all());
    commit_becomes(&state, 3).await;
    assert_eq!(json(&next, "show configuration").await["holdfast-system:system"]["host-name"], "r1");
}

#[tokio::test]
async fn it_is_not_taken_back_in_the_middle_of_a_run() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    client.ok("commit confirmed 5").await;
    router.log.lock().unwrap().push("run in progress".into());
    let_time_pass(&router);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(state.configuration().unwrap().commit_id, 2);
    router.log.lock().unwrap().clear();
    commit_becomes(&state, 3).await;
}
