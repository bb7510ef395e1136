//! The table of commands. Names follow Junos, so that operators and their tools know them.

use super::{Action, Argument, Command, Value};

const fn flag(word: &'static str, help: &'static str) -> Argument {
    Argument::Flag { word, help, group: "" }
}

const fn one_of(group: &'static str, word: &'static str, help: &'static str) -> Argument {
    Argument::Flag { word, help, group }
}

const fn named(word: &'static str, value: Value, help: &'static str) -> Argument {
    Argument::Named { word, value, help, group: "" }
}

const fn view(word: &'static str, help: &'static str) -> Argument {
    Argument::Named { word, value: Value::Neighbor, help, group: "view" }
}

const fn value(name: &'static str, value: Value, help: &'static str) -> Argument {
    Argument::Positional { name, value, help, required: false }
}

const fn required(name: &'static str, value: Value, help: &'static str) -> Argument {
    Argument::Positional { name, value, help, required: true }
}

const fn command(
    words: &'static [&'static str],
    action: Action,
    arguments: &'static [Argument],
    help: &'static str,
) -> Command {
    Command { words, help, arguments, action }
}

const NEIGHBORS_OF: &[Argument] = &[named("interface", Value::Interface, "Only those on this interface")];
const NO_CONFIRM: Argument = flag("no-confirm", "Do not ask");
const DRY_RUN: Argument = flag("dry-run", "Rehearse everything up to the switchover, then take it back");
const FORCE: Argument = flag("force", "Override the minimum spacing between two in-service reboots");
const AT: Argument =
    Argument::Named { word: "at", value: Value::Time, help: "Time: hh:mm, yymmddhhmm, +minutes or now", group: "when" };
const IN: Argument =
    Argument::Named { word: "in", value: Value::Number, help: "Minutes to wait before the reboot", group: "when" };
const MESSAGE: Argument = named("message", Value::Text, "Text for the log and the report");

/// Help of words that are no command by themselves.
pub const WORDS: &[(&[&str], &str)] = &[
    (&["clear"], "Clear information in the system"),
    (&["clear", "bgp"], "Clear Border Gateway Protocol information"),
    (&["clear", "system"], "Clear system information"),
    (&["monitor"], "Show events as they happen"),
    (&["monitor", "chassis"], "Show events of the chassis"),
    (&["request"], "Make system-level requests"),
    (&["request", "forwarding-table"], "Mend the kernel's routes"),
    (&["request", "system"], "Perform system-level operations"),
    (&["request", "system", "reboot"], "Reboot the system"),
    (&["restart"], "Restart one software process, in service"),
    (&["show"], "Show system information"),
    (&["show", "bfd"], "Show Bidirectional Forwarding Detection information"),
    (&["show", "bgp"], "Show Border Gateway Protocol information"),
    (&["show", "chassis"], "Show chassis information"),
    (&["show", "ipv6"], "Show IPv6 information"),
    (&["show", "system"], "Show system information"),
    (&["test"], "Try something out without effect"),
    (&["show", "task"], "Show routing protocol per-task information"),
];

/// All commands.
pub const COMMANDS: &[Command] = &[
    command(
        &["clear", "bgp", "neighbor"],
        Action::ClearBgpNeighbor,
        &[
            required("neighbor", Value::NeighborOrAll, "Address of a neighbor, or all"),
            one_of("soft", "soft", "Send and ask for all routes again, keep the session"),
            one_of("soft", "soft-inbound", "Ask for all routes again, keep the session"),
            Argument::Named {
                word: "message",
                value: Value::Text,
                help: "Text for the neighbor's operator (RFC 9003)",
                group: "soft",
            },
        ],
        "Reset sessions",
    ),
    command(&["clear", "system", "alarms"], Action::ClearAlarms, &[], "Clear all active alarms"),
    command(&["clear", "system", "reboot"], Action::ClearReboot, &[], "Take a scheduled reboot back"),
    command(
        &["configure"],
        Action::Configure,
        &[
            one_of("kind", "exclusive", "Keep others from changing anything meanwhile"),
            one_of("kind", "private", "A candidate of one's own (not built in this version)"),
        ],
        "Change the configuration",
    ),
    command(
        &["monitor", "chassis", "in-service-upgrade"],
        Action::MonitorRun,
        &[],
        "The events of the in-service reboot in progress, or of the last one, as lines of JSON",
    ),
    command(
        &["request", "forwarding-table", "mend"],
        Action::MendForwardingTable,
        &[],
        "Read the kernel's routes again and write what differs, touching nothing of others",
    ),
    command(
        &["request", "system", "reboot", "in-service"],
        Action::Reboot,
        &[
            NO_CONFIRM,
            DRY_RUN,
            FORCE,
            named("confirm", Value::Number, "Minutes that the way back stays open, until the run is confirmed"),
            AT,
            IN,
            MESSAGE,
        ],
        "Replace the whole control plane in service",
    ),
    command(
        &["request", "system", "reboot", "in-service", "abort"],
        Action::AbortReboot,
        &[],
        "Take the in-service reboot in progress back",
    ),
    // With minutes it is the option of that name, and the others may follow.
    command(
        &["request", "system", "reboot", "in-service", "confirm"],
        Action::ConfirmReboot,
        &[
            value("minutes", Value::Number, "Begin a reboot whose way back stays open for so many minutes"),
            NO_CONFIRM,
            DRY_RUN,
            FORCE,
            AT,
            IN,
            MESSAGE,
        ],
        "Keep the routing engine that the in-service reboot in progress has brought",
    ),
    command(&["restart", "routing"], Action::RestartRouting, &[], "Routing process (rpd)"),
    command(&["restart", "management"], Action::RestartManagement, &[], "Management process (mgd)"),
    command(&["restart", "forwarding"], Action::RestartForwarding, &[], "Forwarding agent (pfed)"),
    command(
        &["restart", "periodic-packets"],
        Action::RestartPeriodicPackets,
        &[],
        "Periodic packet process (ppmd); BFD sessions go on",
    ),
    command(&["show", "arp"], Action::ShowArp, NEIGHBORS_OF, "IPv4 neighbors on the links, by ARP"),
    command(
        &["show", "bfd", "session"],
        Action::ShowBfdSession,
        &[flag("detail", "Everything that is known of each")],
        "BFD sessions",
    ),
    command(&["show", "bgp", "summary"], Action::ShowBgpSummary, &[], "Overview of the neighbors"),
    command(
        &["show", "bgp", "neighbor"],
        Action::ShowBgpNeighbor,
        &[value("neighbor", Value::Neighbor, "Address of a neighbor")],
        "Neighbors in detail",
    ),
    command(&["show", "bgp", "group"], Action::ShowBgpGroup, &[], "Groups of neighbors"),
    command(
        &["show", "bgp", "replication"],
        Action::ShowBgpReplication,
        &[],
        "Replication of BGP to the backup routing engine",
    ),
    command(
        &["show", "chassis", "in-service-upgrade"],
        Action::ShowRun,
        &[],
        "The in-service reboot in progress, or the last one",
    ),
    command(
        &["show", "chassis", "in-service-upgrade", "readiness"],
        Action::ShowReadiness,
        &[],
        "Whether an in-service reboot would be accepted now",
    ),
    command(
        &["show", "chassis", "in-service-upgrade", "report"],
        Action::ShowReport,
        &[value("run", Value::Number, "Number of the run; the last one when not given")],
        "What a run lost, from counters",
    ),
    command(&["show", "chassis", "in-service-upgrade", "history"], Action::ShowHistory, &[], "Past runs"),
    command(&["show", "chassis", "routing-engine"], Action::ShowRoutingEngine, &[], "Routing engines and their roles"),
    command(&["show", "configuration"], Action::ShowConfiguration, &[], "The configuration in force"),
    command(
        &["show", "forwarding-table"],
        Action::ShowForwardingTable,
        &[value("prefix", Value::Prefix, "Only this prefix"), flag("summary", "Counts only")],
        "Routes in the kernel",
    ),
    command(
        &["show", "forwarding-table", "differences"],
        Action::ShowForwardingDifferences,
        &[],
        "Where RIB, forwarding table and kernel differ",
    ),
    command(
        &["show", "interfaces"],
        Action::ShowInterfaces,
        &[flag("terse", "One line for each"), value("interface", Value::Interface, "Name of an interface")],
        "Interfaces",
    ),
    command(
        &["show", "ipv6", "neighbors"],
        Action::ShowIpv6Neighbors,
        NEIGHBORS_OF,
        "IPv6 neighbors on the links, by neighbor discovery",
    ),
    command(
        &["show", "log"],
        Action::ShowLog,
        &[value("log", Value::Log, "Name of a log; chassisd when not given")],
        "The last lines of a log",
    ),
    command(
        &["show", "policy"],
        Action::ShowPolicy,
        &[value("policy", Value::Policy, "Name of a policy; all of them when not given")],
        "Routing policies in force, and who uses them",
    ),
    command(
        &["show", "route"],
        Action::ShowRoute,
        &[
            value("prefix", Value::Prefix, "Routes that match this prefix or address"),
            one_of("match", "exact", "Only this very prefix"),
            one_of("match", "longer", "More specific prefixes, too"),
            named("table", Value::Choice(&["inet.0", "inet6.0"]), "Only this table"),
            named("protocol", Value::Choice(&["aggregate", "bgp", "direct", "static"]), "Only routes of this protocol"),
            // The protocol is part of the name while BGP is the only one with neighbours.
            view("receive-protocol bgp", "Routes as a neighbor sent them, before import policy"),
            view("advertising-protocol bgp", "Routes as sent to a neighbor"),
            flag("detail", "Everything that is known of a route"),
            flag("summary", "Counts only"),
        ],
        "Routes",
    ),
    command(&["show", "system", "alarms"], Action::ShowAlarms, &[], "Active alarms"),
    command(&["show", "system", "commit"], Action::ShowCommits, &[], "Commits that are kept, and the candidate"),
    command(&["show", "system", "processes"], Action::ShowProcesses, &[], "Processes of the router"),
    command(&["show", "system", "reboot"], Action::ShowReboot, &[], "The reboot that is scheduled"),
    command(
        &["show", "system", "rollback"],
        Action::ShowRollback,
        &[required("number", Value::Rollback, "How many commits ago")],
        "An earlier configuration",
    ),
    command(
        &["show", "system", "switchover"],
        Action::ShowSwitchover,
        &[],
        "Whether the backup routing engine could take over",
    ),
    command(&["show", "system", "uptime"], Action::ShowUptime, &[], "How long the router and its processes run"),
    command(&["show", "task", "replication"], Action::ShowTaskReplication, &[], "Nonstop routing by protocol"),
    command(&["show", "version"], Action::ShowVersion, &[], "Software versions"),
    command(
        &["test", "policy"],
        Action::TestPolicy,
        &[
            required("policy", Value::Policy, "Name of a policy in force"),
            required("prefix", Value::Prefix, "Routes to this prefix and to all within it"),
            view("receive-protocol bgp", "Routes as this neighbor sent them, before import policy"),
            view("advertising-protocol bgp", "Routes as they are told to this neighbor"),
            flag("detail", "Every term that matches"),
        ],
        "What a policy would do with the routes that are there",
    ),
];
