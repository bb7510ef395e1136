//! Tab and `?`.

use holdfast_ipc::RoleArg;
use holdfast_proto::v1::{CompleteReply, ConfigureMode};

use super::router::Router;
use crate::grammar::{COMMANDS, complete, configure};

fn words(reply: &CompleteReply) -> Vec<&str> {
    reply.completions.iter().map(|completion| completion.word.as_str()).collect()
}

#[tokio::test]
async fn words_values_and_placeholders() {
    let router = Router::new();
    let (state, _mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let at_end = |line: &str| complete(line, line.len(), &state);
    assert_eq!(words(&at_end("")), ["clear", "configure", "monitor", "request", "restart", "show", "test"]);
    assert!(at_end("").completions.iter().all(|completion| !completion.help.is_empty()));
    let partial = at_end("show b");
    assert_eq!((words(&partial), partial.start, partial.executable), (vec!["bfd", "bgp"], 5, false));
    assert_eq!(words(&at_end("show bgp ")), ["group", "neighbor", "replication", "summary"]);
    let neighbor = at_end("show bgp neighbor ");
    assert_eq!((words(&neighbor), neighbor.executable), (vec!["10.0.0.2", "10.0.1.2", "<neighbor>"], true));
    assert!(!at_end("clear bgp neighbor ").executable);
    assert!(words(&at_end("clear bgp neighbor ")).contains(&"all"));
    assert_eq!(words(&at_end("show route table ")), ["inet.0", "inet6.0"]);
    assert_eq!(words(&at_end("show route receive-protocol ")), ["bgp"]);
    let route = at_end("show route exact ");
    assert!(words(&route).contains(&"<prefix>") && !words(&route).contains(&"longer") && route.executable);
    assert!(words(&at_end("show chassis in-service-upgrade ")).contains(&"report"));
    assert!(at_end("show chassis in-service-upgrade").executable);
    let reboot = at_end("request system reboot in-service ");
    let options = ["abort", "at", "confirm", "dry-run", "force", "in", "message", "no-confirm"];
    assert_eq!((words(&reboot), reboot.executable), (options.to_vec(), true));
    assert!(words(&at_end("request system reboot in-service confirm ")).contains(&"<minutes>"));
    assert!(words(&at_end("nonsense here ")).is_empty());
    assert_eq!(words(&complete("show bgp", 3, &state)), ["show"]);
    // An offset inside a character or far behind the end is no reason to fail.
    complete("shöw", 3, &state);
    complete("show", 4000, &state);
    // Nor are words without end, or any other place of any command.
    let mode = ConfigureMode { level: "protocols bgp".into(), ..Default::default() };
    let tops = "top ".repeat(100_000);
    assert!(words(&configure::complete(&tops, tops.len(), &mode, &state)).is_empty());
    for command in COMMANDS {
        let line = format!("{} äöü 10.0.0.2 \"x", command.words.join(" "));
        for cursor in 0..=line.len() {
            complete(&line, cursor, &state);
            configure::complete(&format!("run {line}"), cursor, &mode, &state);
        }
    }
}
