//! `holdfast cli` as a process: output, exit codes, the question, a run that survives its mgd, the terminal.

#[path = "cli/configure.rs"]
mod configure;
#[path = "cli/fakes.rs"]
mod fakes;
#[path = "cli/terminal.rs"]
mod terminal;

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use fakes::Router;

fn cli(router: &Router, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["cli", "--run-dir"])
        .arg(router.run_dir())
        .args(arguments)
        .env("HOME", router.run_dir())
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn one_command_prints_and_succeeds() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show version"], "");
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "line one\nline two\n");
    let output = cli(&router, &["-c", "show version | match TWO | count"], "");
    assert_eq!(text(&output.stdout), "Count: 1 lines\n");
    let output = cli(&router, &["-c", "show version", "--format", "json"], "");
    assert_eq!(text(&output.stdout), "{\"host_name\": \"r1\"}\n");
    let output = cli(&router, &["-c", "show version | display json"], "");
    assert_eq!(text(&output.stdout), "{\"host_name\": \"r1\"}\n");
}

#[test]
fn refusals_go_to_standard_error_with_a_code() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show nonsense"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "error: syntax error at \"nonsense\"\n");
    let output = cli(&router, &["-c", "show chassis in-service-upgrade report"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("a report\n", "error: run 7: undone\n"));
    let output = cli(&router, &["-c", "show version | display yaml"], "");
    assert!(!output.status.success() && text(&output.stderr).contains("json, xml or set"));
}

#[test]
fn without_a_router_it_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["-c", "show version"][..], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["cli", "--run-dir"])
            .arg(directory.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let message =
            format!("no router runs in {}; start one with: holdfast start --config FILE", directory.path().display());
        assert!(text(&output.stderr).contains(&message), "{}", text(&output.stderr));
    }
}

#[test]
fn a_run_is_followed_through_breaks_to_its_end() {
    let router = Router::start();
    let output = cli(&router, &["-c", "request system reboot in-service"], "yes\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = "Reboot the system ? [yes,no] [Feb 22 02:37:04]:ISSU: line 1\n[Feb 22 02:37:04]:ISSU: line 2\n[Feb 22 02:37:04]:ISSU: line 3\nline 4\n";
    assert_eq!(text(&output.stdout), expected);
    let output = cli(&router, &["-c", "request system reboot in-service no-confirm", "--format", "json"], "");
    let sequences: Vec<u64> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
}

#[test]
fn a_run_is_shown_line_by_line_where_there_is_no_terminal_and_once_when_asked() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show chassis in-service-upgrade ending"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("ISSU: line 3\nline 4\n"), "{}", text(&output.stdout));
    assert!(!text(&output.stdout).contains('\x1b'));
    for arguments in [
        &["-c", "show chassis in-service-upgrade | no-more"][..],
        &["-c", "show chassis in-service-upgrade", "--format", "json"],
    ] {
        assert_eq!(text(&cli(&router, arguments, "").stdout), "a snapshot\n");
    }
    let output = cli(&router, &["-c", "monitor chassis in-service-upgrade"], "");
    let events: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 4);
    assert_eq!((&events[0]["sequence"], &events[3]["ended"]), (&1.into(), &true.into()));
}

#[test]
fn a_run_that_fails_is_a_failure() {
    let router = Router::start();
    let output = cli(&router, &["-c", "request system reboot in-service force no-confirm"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error: run 9: undone, nothing lost"), "{}", text(&output.stderr));
}

#[test]
fn everything_but_yes_cancels() {
    let router = Router::start();
    for answer in ["", "no\n", "maybe\n"] {
        let output = cli(&router, &["-c", "request system reboot in-service"], answer);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "Reboot the system ? [yes,no] Reboot cancelled\n");
    }
}

#[test]
fn a_show_command_is_asked_again_when_mgd_was_replaced() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show system uptime"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "answered at try 3\n");
}

#[test]
fn an_answer_that_breaks_off_begins_again_and_is_shown_once() {
    for how in ["once", "once by word", "frozen"] {
        let router = Router::start();
        let output = cli(&router, &["-c", &format!("show broken {how}")], "");
        assert!(output.status.success(), "{how}: {}", text(&output.stderr));
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("new 1\nnew 2\n", ""), "{how}");
        let router = Router::start();
        let output = cli(&router, &["-c", &format!("show broken {how} | count")], "");
        assert_eq!(text(&output.stdout), "Count: 2 lines\n", "{how}");
        let router = Router::start();
        let file = router.run_dir().join("saved");
        let output = cli(&router, &["-c", &format!("show broken {how} | except 1 | save {}", file.display())], "");
        assert!(text(&output.stdout).starts_with("Wrote 1 lines"), "{how}: {}", text(&output.stderr));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "new 2\n", "{how}");
    }
}

#[test]
fn answers_that_go_on_breaking_off_are_an_error_and_no_output() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show broken always | count"], "");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let message = "error: the routing engine that answered was replaced or has ended before the answer was whole (mgd was killed)";
    assert!(text(&output.stderr).starts_with(message), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("enter the command again"));
}

/// What has been shown cannot be taken back, and is not shown twice.
#[test]
fn an_answer_too_long_to_be_held_back_is_not_begun_again() {
    let router = Router::start();
    let output = cli(&router, &["-c", "show broken long"], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 17 << 20));
    assert!(text(&output.stderr).contains("enter the command again"), "{}", text(&output.stderr));
}

#[test]
fn lines_from_a_pipe_are_carried_out_in_turn() {
    let router = Router::start();
    let input = "show version\n\nrequest system reboot in-service\nno\nshow nonsense\nexit\nshow version\n";
    let output = cli(&router, &[], input);
    assert_eq!(text(&output.stdout).matches("line one").count(), 1, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("Reboot cancelled"), "{}", text(&output.stdout));
    assert!(!output.status.success(), "the last command failed");
}

#[test]
fn a_run_whose_answer_got_lost_is_found_and_nothing_else_is_guessed() {
    let router = Router::start();
    let output = cli(&router, &["-c", "request system reboot in-service no-confirm message lost"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("ISSU: line 3\nline 4\n"), "{}", text(&output.stdout));
    let output = cli(&router, &["-c", "restart routing"], "");
    assert_eq!(output.status.code(), Some(1));
    let message = "error: the answer got lost (mgd was killed): it is not known whether the command took effect";
    assert!(text(&output.stderr).starts_with(message), "{}", text(&output.stderr));
}
