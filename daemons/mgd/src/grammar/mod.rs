//! The operational commands as one table, and the three things made from it: parsing with unambiguous abbreviations,
//! completion, and `?`.
//!
//! A command is fixed words followed by arguments in any order. To add one: a line in [`table`], an [`Action`], and its
//! handler in `commands`.

mod complete;
pub mod configure;
mod parse;
mod table;
mod words;

#[cfg(test)]
mod robustness_tests;

pub use complete::complete;
pub use parse::{Invocation, parse};
pub use table::{COMMANDS, WORDS};

/// What a command does; `commands` has one handler for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// configure
    Configure,
    /// request system reboot in-service
    Reboot,
    /// request system reboot in-service abort
    AbortReboot,
    /// request system reboot in-service confirm
    ConfirmReboot,
    /// show system reboot
    ShowReboot,
    /// clear system reboot
    ClearReboot,
    /// show chassis in-service-upgrade
    ShowRun,
    /// monitor chassis in-service-upgrade
    MonitorRun,
    /// ... readiness
    ShowReadiness,
    /// ... report
    ShowReport,
    /// ... history
    ShowHistory,
    /// show chassis routing-engine
    ShowRoutingEngine,
    /// show system switchover
    ShowSwitchover,
    /// show task replication
    ShowTaskReplication,
    /// show system processes
    ShowProcesses,
    /// show system uptime
    ShowUptime,
    /// show version
    ShowVersion,
    /// show log
    ShowLog,
    /// show system alarms
    ShowAlarms,
    /// clear system alarms
    ClearAlarms,
    /// show bfd session
    ShowBfdSession,
    /// show bgp summary
    ShowBgpSummary,
    /// show bgp neighbor
    ShowBgpNeighbor,
    /// show bgp group
    ShowBgpGroup,
    /// show bgp replication
    ShowBgpReplication,
    /// show route
    ShowRoute,
    /// show interfaces
    ShowInterfaces,
    /// show policy
    ShowPolicy,
    /// test policy
    TestPolicy,
    /// show forwarding-table
    ShowForwardingTable,
    /// show arp
    ShowArp,
    /// show ipv6 neighbors
    ShowIpv6Neighbors,
    /// show forwarding-table differences
    ShowForwardingDifferences,
    /// request forwarding-table mend
    MendForwardingTable,
    /// show configuration
    ShowConfiguration,
    /// show system commit
    ShowCommits,
    /// show system rollback
    ShowRollback,
    /// clear bgp neighbor
    ClearBgpNeighbor,
    /// restart routing
    RestartRouting,
    /// restart management
    RestartManagement,
    /// restart forwarding
    RestartForwarding,
    /// restart periodic-packets
    RestartPeriodicPackets,
}

/// What a placeholder stands for: how a word is checked and what completion offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A configured neighbour's address.
    Neighbor,
    /// A configured neighbour's address, or `all`.
    NeighborOrAll,
    /// A prefix or an address.
    Prefix,
    /// A whole number from 1.
    Number,
    /// Which earlier configuration: 0 is the one in force.
    Rollback,
    /// A configured policy's name.
    Policy,
    /// An interface's name.
    Interface,
    /// A log's name.
    Log,
    /// A time of day, a date and time, a distance, or `now`.
    Time,
    /// Anything; several words in double quotes.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One argument of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A word that is there or not; of those with the same `group` only one may be there.
    Flag {
        /// As typed.
        word: &'static str,
        /// For `?`.
        help: &'static str,
        /// Empty: goes with everything.
        group: &'static str,
    },
    /// A word with a value behind it.
    Named {
        /// As typed.
        word: &'static str,
        /// The value.
        value: Value,
        /// For `?`.
        help: &'static str,
        /// Empty: goes with everything.
        group: &'static str,
    },
    /// A value without a word before it.
    Positional {
        /// The name it is known by, and shown as `<name>`.
        name: &'static str,
        /// The value.
        value: Value,
        /// For `?`.
        help: &'static str,
        /// The command means nothing without it.
        required: bool,
    },
}

impl Argument {
    /// The word that names it; of a positional its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flag { word, .. } | Self::Named { word, .. } => word,
            Self::Positional { name, .. } => name,
        }
    }

    fn keyword(&self) -> Option<&'static str> {
        match self {
            Self::Flag { word, .. } | Self::Named { word, .. } => Some(word),
            Self::Positional { .. } => None,
        }
    }

    fn group(&self) -> &'static str {
        match self {
            Self::Flag { group, .. } | Self::Named { group, .. } => group,
            Self::Positional { .. } => "",
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Flag { help, .. } | Self::Named { help, .. } | Self::Positional { help, .. } => help,
        }
    }
}

/// One command.
#[derive(Debug)]
pub struct Command {
    /// The fixed words.
    pub words: &'static [&'static str],
    /// For `?` at its last word.
    pub help: &'static str,
    /// In any order behind the words.
    pub arguments: &'static [Argument],
    /// What it does.
    pub action: Action,
}
