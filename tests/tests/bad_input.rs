//! Bad input: each a clear error, a non-zero exit code, and nothing changed or left.

use std::{net::TcpListener, time::Duration};

use holdfast_tests::{Place, configuration, holdfast, run};

const SHORT: Duration = Duration::from_secs(30);

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let place = Place::new();
    let file = place.file("wrong.conf", "system {\n    host-name r;\n}\nprotocols {\n    bgpp {\n    }\n}\n");
    place.start(&file).assert_refused(&["wrong.conf:5:5", "bgpp"]);
    place.assert_nothing_left();
}

#[test]
fn an_unfinished_configuration_is_refused_with_its_place() {
    let place = Place::new();
    let file = place.file("torn.conf", "routing-options {\n    router-id 10.0.0.1;\n");
    place.start(&file).assert_refused(&["torn.conf:"]);
    place.assert_nothing_left();
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    let place = Place::new();
    let file =
        place.file("value.conf", "routing-options {\n    router-id 10.0.0.999;\n    autonomous-system 65000;\n}\n");
    place.start(&file).assert_refused(&["value.conf:2:", "10.0.0.999"]);
    place.assert_nothing_left();
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let place = Place::new();
    let file = place.folder.join("absent.conf");
    place.start(&file).assert_refused(&["absent.conf", "no such file"]);
    place.assert_nothing_left();
}

#[test]
fn a_fifo_is_refused_at_once() {
    let place = Place::new();
    let fifo = place.folder.join("fifo.conf");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    place.start(&fifo).assert_refused(&["fifo.conf", "not a file"]);
    place.assert_nothing_left();
}

#[test]
fn a_file_without_a_statement_is_refused() {
    let place = Place::new();
    for text in ["", "/* nothing yet */\n"] {
        let file = place.file("empty.conf", text);
        place.start(&file).assert_refused(&["empty.conf", "no statement"]);
        place.assert_nothing_left();
    }
}

#[test]
fn a_namespace_that_does_not_exist_is_refused_by_name() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    let mut command = holdfast();
    command.arg("start").arg("--config").arg(&file).args(["--netns", "hf-no-such-namespace"]);
    command.arg("--run-dir").arg(place.run_dir()).arg("--state-dir").arg(place.state_dir());
    run(command, SHORT).assert_refused(&["hf-no-such-namespace"]);
    place.assert_nothing_left();
}

#[test]
fn a_port_in_use_is_refused_and_named() {
    let place = Place::new();
    let text = configuration(true, true) + "routing-options { static { route 203.0.113.0/24 discard; } }\n";
    let file = place.file("router.conf", &text);
    let holder = place.namespace.inside(|| Ok(TcpListener::bind("0.0.0.0:179").expect("port 179 is free")));
    let _holder = holder.expect("a listener in the namespace");
    place.start(&file).assert_refused(&["179", "in use"]);
    place.assert_nothing_left();
    assert_eq!(place.routes_of_ours(), "", "routes of a router that was refused");
}

#[test]
fn a_second_router_on_the_same_run_dir_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    place.start(&file).assert_succeeded();
    let mut before = place.processes();
    place.start(&file).assert_refused(&[&place.run_dir().display().to_string()]);
    place.cli("show version").assert_succeeded();
    let mut after = place.processes();
    before.sort();
    after.sort();
    assert_eq!(before, after, "the first router's processes");
}

#[test]
fn an_in_service_reboot_without_graceful_switchover_is_refused_with_the_remedy() {
    refused_reboot(false, true, "set chassis redundancy graceful-switchover");
}

#[test]
fn an_in_service_reboot_without_nonstop_routing_is_refused_with_the_remedy() {
    refused_reboot(true, false, "set routing-options nonstop-routing");
}

fn refused_reboot(gres: bool, nsr: bool, remedy: &str) {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(gres, nsr));
    place.start(&file).assert_succeeded();
    let mut before = place.processes();
    place.cli("request system reboot in-service no-confirm").assert_refused(&[remedy]);
    let mut after = place.processes();
    before.sort();
    after.sort();
    assert_eq!(before, after, "the router's processes");
}

#[test]
fn the_command_line_says_when_there_is_no_router() {
    let place = Place::new();
    place.cli("show version").assert_refused(&[&place.run_dir().display().to_string()]);
}

#[test]
fn an_unknown_command_is_refused_and_the_router_goes_on() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    place.start(&file).assert_succeeded();
    place.cli("show nonsense").assert_refused(&["nonsense"]);
    place.cli("show version").assert_succeeded();
}

#[test]
fn a_router_that_is_stopped_leaves_nothing() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    place.start(&file).assert_succeeded();
    let mut command = holdfast();
    command.arg("stop").arg("--run-dir").arg(place.run_dir());
    run(command, SHORT).assert_succeeded();
    assert!(place.processes().is_empty(), "{:?}", place.processes());
    let mut again = holdfast();
    again.arg("stop").arg("--run-dir").arg(place.run_dir());
    run(again, SHORT).assert_refused(&[&place.run_dir().display().to_string()]);
}

#[test]
fn what_a_killed_chassisd_left_is_ended_by_stop() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    place.start(&file).assert_succeeded();
    let pid = std::fs::read_to_string(place.run_dir().join("chassisd.pid")).expect("its pid");
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().expect("a number"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("chassisd runs");
    assert!(holdfast_tests::wait_until(SHORT, || place.processes().len() == 3), "{:?}", place.processes());
    let mut command = holdfast();
    command.arg("stop").arg("--run-dir").arg(place.run_dir());
    let said = run(command, SHORT);
    said.assert_succeeded();
    said.assert_says(&["chassisd was gone", "re0/rpd", "re0/mgd", "re0/pfed"]);
    assert!(place.processes().is_empty(), "{:?}", place.processes());
    assert!(place.run_files().is_empty(), "{:?}", place.run_files());
}

#[test]
fn a_lab_refuses_what_it_does_not_know() {
    holdfast_tests::require_root();
    for (arguments, words) in [
        (vec!["issr-nonsense"], vec!["issr-nonsense", "issr-basic"]),
        (vec!["issr-basic", "--neighbors", "frr,junos"], vec!["junos", "frr, bird"]),
        (vec!["issr-basic", "--neighbors", "frr"], vec!["2 to"]),
        (vec!["issr-basic", "--routes", "3"], vec!["--routes 3", "required"]),
        (vec!["issr-basic", "--runtime", "vm"], vec!["'vm'", "--runtime", "process, oci"]),
        (vec!["issr-basic", "--json", "/no/such/folder/x.json"], vec!["/no/such/folder"]),
    ] {
        let mut command = holdfast();
        command.args(["lab", "run"]).args(arguments);
        run(command, SHORT).assert_refused(&words);
    }
}
