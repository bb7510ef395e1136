//! Execute, against processes that answer and processes that do not.

use holdfast_ipc::RoleArg;
use holdfast_proto::v1::{ExecuteRequest, Role, execute_event::Event, management_client::ManagementClient};
use tonic::Code;

use super::router::{Router, execute, json, send, show};

#[tokio::test]
async fn reboot_asks_then_is_followed() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let asked = execute(&mgd, "request system reboot in-service", "text", false).await;
    assert!(matches!(&asked.end, Event::Confirm(confirm) if confirm.question == "Reboot the system ? [yes,no] "));
    assert!(router.log.lock().unwrap().is_empty());
    let started = execute(&mgd, "request system reboot in-service force", "text", true).await;
    assert!(matches!(&started.end, Event::Follow(follow) if follow.run_id == 8));
    let unasked = execute(&mgd, "request system reboot in-service no-confirm", "text", false).await;
    assert!(matches!(&unasked.end, Event::Follow(_)));
    assert_eq!(*router.log.lock().unwrap(), ["start force=true by=tester", "start force=false by=tester"]);
}

#[tokio::test]
async fn the_options_of_a_reboot_reach_chassisd() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let begins = [
        "no-confirm dry-run",
        "no-confirm confirm 5",
        "confirm 5 no-confirm message \"new optics\"",
        "at now no-confirm message twice",
    ];
    for options in begins {
        let started = execute(&mgd, &format!("request system reboot in-service {options}"), "text", false).await;
        assert!(matches!(&started.end, Event::Follow(_)), "{options}: {:?}", started.end);
    }
    assert_eq!(
        *router.log.lock().unwrap(),
        [
            "start force=false by=tester dry-run",
            "start force=false by=tester confirm=300",
            "start force=false by=tester confirm=300 message=new optics",
            "start force=false by=tester message=twice",
        ]
    );
    let rehearsal = execute(&mgd, "request system reboot in-service dry-run", "text", false).await;
    assert!(matches!(&rehearsal.end, Event::Confirm(confirm) if confirm.question.starts_with("Rehearse")));
    for (options, refusal) in [
        ("dry-run confirm 5", "nothing to confirm"),
        ("confirm 99999999", "too many"),
        ("confirm force", "confirm MINUTES"),
        ("at 2001010000", "has passed"),
        ("at noon", "syntax error"),
        ("at now in 5", "syntax error"),
        ("message \"open", "quote is not closed"),
    ] {
        let refused = execute(&mgd, &format!("request system reboot in-service {options}"), "text", true).await;
        assert!(refused.error().contains(refusal), "{options}: {}", refused.error());
    }
    assert_eq!(show(&mgd, "request system reboot in-service confirm").await, "the run is confirmed by tester\n");
}

#[tokio::test]
async fn a_reboot_for_later_is_shown_and_taken_back() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let asked = execute(&mgd, "request system reboot in-service in 15 dry-run", "text", false).await;
    assert!(matches!(&asked.end, Event::Confirm(_)));
    let text = show(&mgd, "request system reboot in-service in 15 no-confirm message \"at night\"").await;
    assert!(text.contains("(in 14:59)") || text.contains("(in 15:00)"), "{text}");
    assert!(text.contains("requested by tester") && text.contains("message: at night"), "{text}");
    assert_eq!(show(&mgd, "show system reboot").await, "No reboot is scheduled\n");
    assert_eq!(execute(&mgd, "clear system reboot", "text", false).await.error(), "no reboot is scheduled");
    assert!(router.log.lock().unwrap().is_empty(), "nothing was started");
}

#[tokio::test]
async fn warnings_are_named_before_the_question() {
    let router = Router::new().with_chassis().with_daemons();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let asked = execute(&mgd, "request system reboot in-service", "text", false).await;
    assert!(asked.output.contains("warning: No alarms: 1 alarm; required: no alarm is active\n"), "{}", asked.output);
    assert!(asked.output.contains("error: Configuration applied: rpd and pfed have not applied"), "{}", asked.output);
    assert!(matches!(asked.end, Event::Confirm(_)));
    let silent = execute(&mgd, "request system reboot in-service", "json", false).await;
    assert_eq!(silent.output, "");
}

#[tokio::test]
async fn a_run_is_watched_where_that_is_possible_and_streamed_on_demand() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let watch = |line: &'static str| {
        let request = ExecuteRequest { line: line.into(), format: "text".into(), watch: true, ..Default::default() };
        send(&mgd, request)
    };
    let ended = watch("show chassis in-service-upgrade").await;
    assert!(ended.output.contains("Run 8: idle, ended"), "what has ended is shown once: {}", ended.output);
    assert!(
        matches!(watch("monitor chassis in-service-upgrade").await.end, Event::Follow(f) if f.run_id == 8 && f.json_lines)
    );
    router.log.lock().unwrap().push("run in progress".into());
    assert!(matches!(watch("show chassis in-service-upgrade").await.end, Event::Watch(watch) if watch.run_id == 8));
    let once = execute(&mgd, "show chassis in-service-upgrade", "text", false).await;
    assert!(matches!(once.end, Event::Done(_)) && once.output.contains("FPC 0"), "{}", once.output);
}

#[tokio::test]
async fn refusals_of_chassisd_reach_the_operator_in_its_words() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let idle = execute(&mgd, "request system reboot in-service abort", "text", false).await;
    assert_eq!(idle.error(), "no in-service reboot is in progress");
    router.log.lock().unwrap().push("run in progress".into());
    let refused = execute(&mgd, "request system reboot in-service no-confirm", "text", false).await;
    assert_eq!(refused.error(), "run 1 is in progress; request system reboot in-service abort ends it");
    assert_eq!(show(&mgd, "request system reboot in-service abort").await, "run 1 is being undone\n");
}

#[tokio::test]
async fn a_report_of_a_failed_run_is_no_success() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let good = show(&mgd, "show chassis in-service-upgrade report").await;
    for part in [
        "Control-plane gap: 4.250 ms",
        "re0 -> re1",
        "10.0.0.2",
        "Needless writes: 0",
        "Verdict: SUCCESS: nothing lost",
    ] {
        assert!(good.contains(part), "{part}\n{good}");
    }
    let bad = execute(&mgd, "show chassis in-service-upgrade report 7", "text", false).await;
    assert!(bad.output.contains("Missing evidence\n  no kernel counters"), "{}", bad.output);
    assert_eq!(bad.error(), "run 7: undone, nothing lost");
    let bad = execute(&mgd, "show chassis in-service-upgrade report 7", "json", false).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&bad.output).unwrap()["run_id"], 7);
    bad.error();
}

#[tokio::test]
async fn every_show_command_has_text_and_json() {
    let router = Router::new().with_chassis().with_daemons();
    let logs = router.directory.path().join("state/log");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("re0-rpd.log"), "one\ntwo\n").unwrap();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    for (line, part, key) in [
        ("show chassis in-service-upgrade", "Run 8: idle, ended: nothing lost", "phases"),
        ("show chassis in-service-upgrade readiness", "GRES enabled                    : Valid", "neighbors"),
        ("show chassis in-service-upgrade history", "nothing lost", "runs"),
        ("show chassis routing-engine", "Current state: Master", "master_slot"),
        ("show system switchover", "Graceful switchover: On", "graceful_switchover"),
        ("show system processes", "4711", "processes"),
        ("show system uptime", "Router started:", "router_started_unix_ms"),
        ("show system alarms", "  backup lost\n", "alarms"),
        ("clear system alarms", "2 alarms cleared", "cleared"),
        ("show version", "Hostname: r1", "host_name"),
        ("show log re0-rpd", "one\ntwo\n", "lines"),
        ("show task replication", "Stateful Replication: Enabled", "sessions"),
        ("show bgp replication", "State: synchronized", "sessions"),
        ("show bgp summary", "inet-unicast: 3/5/4/2", "neighbors"),
        ("show bgp neighbor", "State: Established", "neighbors"),
        ("show bgp neighbor", "(RFC 7911): received, up to 4 are sent", "neighbors"),
        ("show bgp neighbor 10.0.0.2", "Peer: 10.0.0.2", "neighbors"),
        ("show bgp group", "EXT", "groups"),
        ("show route summary", "inet.0: 7 destinations", "tables"),
        ("show route", "10.0.1.0/24        *[BGP/170], localpref 100", "routes"),
        ("show policy", "ALL", "policies"),
        ("test policy IN 10.0.0.0/8", "10.0.0.0/8 [bgp from 10.0.0.2] accepted by policy IN term customers", "routes"),
        ("test policy IN 10.0.0.0/8", "Policy IN: 1 routes accepted, 1 rejected", "routes"),
        ("test policy IN 10.0.0.0/8 detail", "      matches policy ASKED term t\n    matches policy IN", "routes"),
        ("test policy IN 10.0.0.0/8 receive-protocol bgp 10.0.0.2", "    metric: none -> 5", "routes"),
        ("show interfaces", "Physical interface: eth0, Enabled", "interfaces"),
        ("show interfaces", "Speed: 10 Gbit/s, State: up, VLAN 7 of eth (made by configuration)", "interfaces"),
        ("show interfaces", "  Carrier changes: 3, Last flapped: not seen\n", "interfaces"),
        ("show interfaces", "  Problem: mtu 9000 of interface eth0: Invalid argument", "interfaces"),
        ("show interfaces", "Interface eth7: does not exist (yet); set as soon as it does\n", "waiting"),
        ("show interfaces terse", "inet6  2001:db8::1/64", "interfaces"),
        ("show forwarding-table", "0x48000001  10.0.0.2 via eth0", "entries"),
        ("show forwarding-table summary", "Routes: 12 IPv4", "routes_ipv4"),
        ("show configuration", "host-name r1;", "holdfast-system:system"),
    ] {
        let text = show(&mgd, line).await;
        assert!(text.contains(part), "{line}: {part:?} is missing in\n{text}");
        let value = json(&mgd, line).await;
        assert!(value.get(key).is_some(), "{line}: {key:?} is missing in\n{value}");
    }
}

#[tokio::test]
async fn routes_come_in_pieces_and_as_one_json_object() {
    let router = Router::new().with_daemons();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let value = json(&mgd, "show route").await;
    assert_eq!(value["routes"].as_array().unwrap().len(), 5_000);
    let text = show(&mgd, "show route").await;
    assert_eq!(text.matches("inet.0:").count(), 1);
    for (line, kind) in
        [("show route 10.9.9.9", 1), ("show route 10.9.9.9 longer", 2), ("show route 10.9.9.9 exact", 0)]
    {
        assert_eq!(json(&mgd, line).await["routes"][0]["prefix"], format!("match {kind}"));
    }
}

/// By the word of a mgd that is not primary any more, the client forgets what came and asks the one that is.
#[tokio::test]
async fn an_answer_whose_rpd_ends_in_its_middle_is_for_the_new_primary() {
    let router = Router::new().with_daemons();
    let (state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let crashed = execute(&mgd, "show route 10.8.8.8", "text", false).await;
    assert!(crashed.output.contains("inet.0:"), "{}", crashed.output);
    assert!(crashed.error().starts_with("rpd of re0 does not answer (rpd is ending)"), "{}", crashed.error());
    for role in [Role::Frozen, Role::Backup] {
        state.lock().term.role = role;
        let request = ExecuteRequest { line: "show route 10.8.8.8".into(), ..Default::default() };
        let mut stream = ManagementClient::new(mgd.clone()).execute(request).await.unwrap().into_inner();
        let part = stream.message().await.unwrap().unwrap();
        assert!(matches!(part.event, Some(Event::Output(_))), "{part:?}");
        let end = stream.message().await.unwrap_err();
        assert_eq!(end.code(), Code::Aborted, "{end}");
    }
}

#[tokio::test]
async fn failures_name_who_and_why() {
    let router = Router::new().with_daemons();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let error = |line: &'static str, format: &'static str| {
        let mgd = mgd.clone();
        async move { execute(&mgd, line, format, false).await.error().to_owned() }
    };
    let unreachable = error("show system processes", "text").await;
    assert!(unreachable.starts_with("chassisd does not answer"), "{unreachable}");
    assert!(error("show bgp", "text").await.contains("expecting summary, neighbor"));
    assert!(error("show bgp neighbor 10.9.9.9", "text").await.contains("10.9.9.9 is not configured"));
    assert!(error("show interfaces eth9", "text").await.contains("eth9 does not exist"));
    assert!(error("show log nothing", "text").await.contains("log nothing does not exist"));
    assert!(error("show version", "yaml").await.contains("format \"yaml\" is not known"));
    assert!(error("show version", "set").await.contains("show configuration only"));
    assert!(error("show route exact", "text").await.contains("need a prefix"));
    assert!(error("test policy NO 10.0.0.0/8", "text").await.contains("these are: IN"));
    assert!(error("test policy IN", "text").await.contains("prefix"));
    let set = execute(&mgd, "show configuration", "set", false).await.ok();
    assert!(set.starts_with("set system host-name r1\n"), "{set}");
}

#[tokio::test]
async fn changes_and_restarts() {
    let router = Router::new().with_chassis().with_daemons();
    let (state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    assert_eq!(show(&mgd, "clear bgp neighbor all").await, "Cleared 2 connections\n");
    assert_eq!(show(&mgd, "restart routing").await, "rpd restarted\n");
    assert_eq!(show(&mgd, "restart management").await, "mgd restarts\n");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while !router.log.lock().unwrap().contains(&"restart mgd".to_owned()) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    state.lock().term.role = Role::Frozen;
    let refused = execute(&mgd, "clear bgp neighbor all", "text", false).await;
    assert!(refused.error().contains("not primary"), "{}", refused.error());
}

#[tokio::test]
async fn neighbors_are_shown_by_family_and_interface() {
    let router = Router::new().with_chassis().with_daemons();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let text = show(&mgd, "show arp").await;
    assert!(text.contains("10.0.0.2") && text.ends_with("Total entries: 2, 1 of them not listed\n"), "{text}");
    assert!(show(&mgd, "show ipv6 neighbors").await.contains("stale, router"));
    assert_eq!(json(&mgd, "show ipv6 neighbors interface eth7").await["neighbors"][0]["interface"], "eth7");
    let routes = show(&mgd, "show route").await;
    assert_eq!(routes.matches("> to 10.0.0.2 via eth0, does not answer\n").count(), 1);
}

#[tokio::test]
async fn tables_are_compared_mended_and_compared_again() {
    let router = Router::new().with_chassis().with_daemons();
    let (_state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let text = show(&mgd, "show forwarding-table differences").await;
    assert!(text.starts_with("RIB, FIB and kernel: 2 IPv4 and 0 IPv6 destinations compared in "), "{text}");
    assert!(text.contains("2 destinations differ\n10.1.0.0/16: "), "{text}");
    let shown = json(&mgd, "show forwarding-table differences").await;
    assert_eq!(shown["differences"][1]["kind"], "in-the-way", "{shown}");
    assert_eq!(shown["rib_known"], true);
    // One of the two was mended, by rpd's telling everything again; the other one is not ours to touch.
    let mended = execute(&mgd, "request forwarding-table mend", "json", false).await;
    assert_eq!(mended.error(), "1 destination still differs");
    let value: serde_json::Value = serde_json::from_str(&mended.output).unwrap();
    assert_eq!((&value["found"], &value["mended"]["writes"]), (&2.into(), &1.into()), "{value}");
    assert_eq!(value["left"]["differences"][0]["kind"], "in-the-way", "{value}");
}
