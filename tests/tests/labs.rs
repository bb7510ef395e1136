//! Labs among themselves: side by side, interrupted at any moment, killed, kept.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use holdfast_lab::host::{cleanup, process::OwnGroup, procfs};
use holdfast_tests::{holdfast, require_root, run, text_of, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const LONG: Duration = Duration::from_secs(180);

fn lab(arguments: &[&str]) -> Command {
    let mut command = holdfast();
    command.args(["lab", "run"]).args(arguments).arg("--times-not-judged");
    command
}

fn spawn(mut command: Command) -> Child {
    command
        .own_group()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a lab starts")
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), signal).expect("the lab runs");
}

/// Namespaces, folders and processes that carry the name of a lab of this owner.
fn left_of(owner: u32) -> Vec<String> {
    let labs = cleanup::find_all().into_iter().filter(|f| f.id.owner_pid == owner).map(|f| f.id.to_string());
    let name = format!("hfl-{owner}-");
    let lines = procfs::all_pids().into_iter().map(procfs::command_line).filter(|line| line.contains(&name));
    labs.chain(lines).collect()
}

fn interrupted_after(arguments: &[&str], delay: Duration, signal: Signal) {
    let child = spawn(lab(arguments));
    let owner = child.id();
    std::thread::sleep(delay);
    send(&child, signal);
    let output = child.wait_with_output().expect("the lab ends");
    assert!(!output.status.success(), "{}", text_of(&output));
    let gone = wait_until(Duration::from_secs(20), || left_of(owner).is_empty());
    assert!(gone, "{signal} after {delay:?} left {:?}; the lab said: {}", left_of(owner), text_of(&output));
}

/// With BIRD in the middle: what is tested is the lab.
const SMALL: [&str; 7] = ["baseline", "--subject", "bird", "--routes", "2000", "--rate", "500"];

#[test]
fn ctrl_c_at_any_moment_leaves_nothing() {
    require_root();
    for ms in [5, 60, 150, 300, 500, 800, 1_300, 2_500, 5_000] {
        interrupted_after(&SMALL, Duration::from_millis(ms), Signal::SIGINT);
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        interrupted_after(&SMALL, Duration::from_millis(700), signal);
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_run_leaves_nothing() {
    require_root();
    let arguments = ["issr-basic", "--routes", "5000", "--rate", "500"];
    for ms in [700, 2_000, 8_000] {
        interrupted_after(&arguments, Duration::from_millis(ms), Signal::SIGINT);
    }
}

#[test]
fn kill_9_of_a_lab_leaves_nothing() {
    require_root();
    for ms in [100, 3_000] {
        interrupted_after(&SMALL, Duration::from_millis(ms), Signal::SIGKILL);
    }
}

#[test]
fn labs_run_side_by_side() {
    require_root();
    let folder = tempfile::tempdir().expect("a folder");
    let results = [folder.path().join("a.json"), folder.path().join("b.json")];
    let labs = results.each_ref().map(|file| {
        let mut command = lab(&["issr-basic", "--routes", "5000", "--rate", "1000"]);
        command.arg("--json").arg(file);
        spawn(command)
    });
    for (child, file) in labs.into_iter().zip(&results) {
        let output = child.wait_with_output().expect("the lab ends");
        let text = fs::read_to_string(file).unwrap_or_else(|_| panic!("no result: {}", text_of(&output)));
        let result: serde_json::Value = serde_json::from_str(&text).expect("the result is JSON");
        let lost: u64 = result["traffic"].as_array().expect("flows").iter().filter_map(|f| f["lost"].as_u64()).sum();
        let flaps: u64 =
            result["sessions"].as_array().expect("sessions").iter().filter_map(|s| s["flaps"].as_u64()).sum();
        assert_eq!((lost, flaps), (0, 0), "{}", result["verdict"]);
    }
}

#[test]
fn a_kept_lab_stays_until_it_is_destroyed() {
    require_root();
    let mut arguments = SMALL.to_vec();
    arguments.push("--keep");
    let kept = run(lab(&arguments), LONG);
    kept.assert_succeeded();
    kept.assert_says(&["end it:"]);
    let name = kept.text.split_whitespace().find(|w| w.starts_with("hfl-")).expect("the lab's name").to_owned();
    let exists = || cleanup::find_all().iter().any(|f| f.id.to_string() == name);
    assert!(exists(), "{}", kept.text);
    let mut destroy = holdfast();
    destroy.args(["lab", "destroy", &name]);
    run(destroy, LONG).assert_succeeded();
    assert!(!exists());
}
