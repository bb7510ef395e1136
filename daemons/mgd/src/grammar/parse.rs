//! A line to an invocation.
//!
//! Words are resolved one at a time against what may stand in their place: first exact, then as an abbreviation that only
//! one word fits, then as the value of a placeholder.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Action, Argument, COMMANDS, Command, Value, words::words};
use crate::limits;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    arguments: BTreeMap<&'static str, String>,
}

impl Invocation {
    /// Whether a flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.arguments.contains_key(name)
    }

    /// The value of an argument.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).map(String::as_str)
    }
}

/// Why a line is no command. Messages are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A word that fits nowhere.
    #[error("syntax error at {word:?}, expecting {expecting}")]
    Unknown {
        /// As typed.
        word: String,
        /// What could stand there.
        expecting: String,
    },
    /// An abbreviation of several words.
    #[error("{word:?} is ambiguous: {candidates}")]
    Ambiguous {
        /// As typed.
        word: String,
        /// What it could be.
        candidates: String,
    },
    /// The line ends too early.
    #[error("missing argument, expecting {expecting}")]
    Incomplete {
        /// What could stand there.
        expecting: String,
    },
    /// Not a line of words.
    #[error("{0}")]
    Line(&'static str),
}

/// Where a line has got to.
#[derive(Debug, Clone)]
pub(super) struct Position {
    /// Commands whose words begin with those resolved.
    pub candidates: Vec<&'static Command>,
    /// How many words are resolved.
    pub depth: usize,
    /// Arguments taken; once there is one, the command is certain.
    pub arguments: BTreeMap<&'static str, String>,
    /// The argument whose words or value are still to come, and how many of its words are there.
    pub open: Option<(&'static Argument, usize)>,
}

/// One thing that may stand next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    Word(&'static str),
    Keyword(&'static Argument, &'static str),
    Value(&'static Argument, Value),
}

impl Next {
    pub(super) fn literal(&self) -> Option<&'static str> {
        match self {
            Self::Word(word) | Self::Keyword(_, word) => Some(word),
            Self::Value(..) => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Keyword(_, word) => (*word).to_owned(),
            Self::Value(_, Value::Choice(words)) => words.join(" or "),
            Self::Value(argument, _) => placeholder(argument),
        }
    }
}

/// A value's name as `?` shows it.
pub(super) fn placeholder(argument: &Argument) -> String {
    let name = match argument {
        Argument::Positional { name, .. } => name,
        Argument::Named { value: Value::Neighbor, .. } => "neighbor",
        other => other.name(),
    };
    format!("<{name}>")
}

impl Position {
    pub(super) fn start() -> Self {
        Self { candidates: COMMANDS.iter().collect(), depth: 0, arguments: BTreeMap::new(), open: None }
    }

    /// The command that the words so far are, if they are one.
    pub(super) fn command(&self) -> Option<&'static Command> {
        self.candidates.iter().copied().find(|command| command.words.len() == self.depth)
    }

    /// Whether the line could end here.
    pub(super) fn executable(&self) -> bool {
        self.open.is_none() && self.command().is_some_and(|command| self.missing(command).is_none())
    }

    fn missing(&self, command: &'static Command) -> Option<&'static Argument> {
        let required = |argument: &&Argument| matches!(argument, Argument::Positional { required: true, .. });
        command.arguments.iter().filter(required).find(|argument| !self.arguments.contains_key(argument.name()))
    }

    /// Everything that may stand next.
    pub(super) fn nexts(&self) -> Vec<Next> {
        if let Some((argument, words)) = self.open {
            return open_next(argument, words).into_iter().collect();
        }
        let mut nexts: Vec<Next> = Vec::new();
        if self.arguments.is_empty() {
            for word in self.candidates.iter().filter_map(|command| command.words.get(self.depth)) {
                if !nexts.iter().any(|next| next.literal() == Some(word)) {
                    nexts.push(Next::Word(word));
                }
            }
        }
        let Some(command) = self.command() else { return nexts };
        for argument in command.arguments.iter().filter(|argument| self.allows(command, argument)) {
            nexts.extend(match argument {
                Argument::Positional { value, .. } => Some(Next::Value(argument, *value)),
                // A word of a longer command that is also an option stands there once.
                _ => open_next(argument, 0).filter(|next| !nexts.iter().any(|other| other.literal() == next.literal())),
            });
        }
        nexts
    }

    /// Not there yet, and nothing of its group either.
    fn allows(&self, command: &'static Command, argument: &Argument) -> bool {
        let taken = |other: &Argument| self.arguments.contains_key(other.name());
        let rival =
            |other: &Argument| !argument.group().is_empty() && other.group() == argument.group() && taken(other);
        !taken(argument) && !command.arguments.iter().any(rival)
    }

    /// Takes one word.
    pub(super) fn advance(mut self, word: &str) -> Result<Self, ParseError> {
        let next = resolve(word, &self.nexts())?;
        match next {
            Next::Word(resolved) => {
                self.candidates.retain(|command| command.words.get(self.depth) == Some(&resolved));
                self.depth += 1;
            }
            Next::Keyword(argument, _) => {
                let words = self.open.map_or(0, |(_, words)| words) + 1;
                let complete = words == keywords(argument).count();
                self.open = match argument {
                    Argument::Flag { .. } if complete => {
                        self.arguments.insert(argument.name(), String::new());
                        None
                    }
                    _ => Some((argument, words)),
                };
            }
            Next::Value(argument, value) => {
                self.arguments.insert(argument.name(), chosen(word, value));
                self.open = None;
            }
        }
        Ok(self)
    }
}

fn keywords(argument: &Argument) -> impl Iterator<Item = &'static str> {
    argument.keyword().unwrap_or_default().split(' ').filter(|word| !word.is_empty())
}

fn open_next(argument: &'static Argument, words: usize) -> Option<Next> {
    match (keywords(argument).nth(words), argument) {
        (Some(word), _) => Some(Next::Keyword(argument, word)),
        (None, Argument::Named { value, .. }) => Some(Next::Value(argument, *value)),
        _ => None,
    }
}

fn resolve(word: &str, nexts: &[Next]) -> Result<Next, ParseError> {
    if let Some(exact) = nexts.iter().find(|next| next.literal() == Some(word)) {
        return Ok(*exact);
    }
    let abbreviated: Vec<&Next> =
        nexts.iter().filter(|next| next.literal().is_some_and(|literal| literal.starts_with(word))).collect();
    match abbreviated.as_slice() {
        [one] => return Ok(**one),
        [] => {}
        several => {
            let candidates = several.iter().map(|next| next.shown()).collect::<Vec<_>>().join(", ");
            return Err(ParseError::Ambiguous { word: word.to_owned(), candidates });
        }
    }
    let value = nexts.iter().find(|next| matches!(next, Next::Value(_, value) if fits(word, *value)));
    value.copied().ok_or_else(|| ParseError::Unknown { word: word.to_owned(), expecting: expecting(nexts) })
}

fn expecting(nexts: &[Next]) -> String {
    if nexts.is_empty() {
        "the end of the line".to_owned()
    } else {
        nexts.iter().map(Next::shown).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a word can be a value of this kind.
fn fits(word: &str, value: Value) -> bool {
    match value {
        Value::Neighbor => word.parse::<IpAddr>().is_ok(),
        Value::NeighborOrAll => word == "all" || word.parse::<IpAddr>().is_ok(),
        Value::Prefix => match word.split_once('/') {
            None => word.parse::<IpAddr>().is_ok(),
            Some((address, length)) => address.parse::<IpAddr>().is_ok_and(|address| {
                length.parse::<u8>().is_ok_and(|length| length <= if address.is_ipv4() { 32 } else { 128 })
            }),
        },
        Value::Number => word.parse::<u64>().is_ok_and(|number| number > 0),
        Value::Rollback => word.parse::<u32>().is_ok_and(|number| number <= limits::ROLLBACKS_MAX),
        Value::Interface => word.len() <= 15 && !word.contains('/'),
        Value::Log => !word.contains('/') && !word.starts_with('.'),
        Value::Time => crate::when::Moment::parse(word).is_some(),
        Value::Policy | Value::Text => !word.trim().is_empty(),
        Value::Choice(words) => {
            words.iter().filter(|choice| choice.starts_with(word)).count() == 1 || words.contains(&word)
        }
    }
}

/// The value in full, where an abbreviation of a choice is allowed.
fn chosen(word: &str, value: Value) -> String {
    let full = match value {
        Value::Choice(words) if !words.contains(&word) => words.iter().find(|choice| choice.starts_with(word)).copied(),
        _ => None,
    };
    full.unwrap_or(word).to_owned()
}

/// Parses one line.
pub fn parse(line: &str) -> Result<Invocation, ParseError> {
    if line.len() > limits::LINE_BYTES_MAX {
        return Err(ParseError::Line("the line is too long"));
    }
    let words = words(line).map_err(ParseError::Line)?;
    let position = words.iter().map(String::as_str).try_fold(Position::start(), Position::advance)?;
    let incomplete = || ParseError::Incomplete { expecting: expecting(&position.nexts()) };
    let command = position.command().filter(|_| position.open.is_none()).ok_or_else(incomplete)?;
    if let Some(argument) = position.missing(command) {
        return Err(ParseError::Incomplete { expecting: placeholder(argument) });
    }
    Ok(Invocation { action: command.action, arguments: position.arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(line: &str) -> Action {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).action
    }

    #[test]
    fn words_and_abbreviations() {
        assert_eq!(action("show bgp summary"), Action::ShowBgpSummary);
        assert_eq!(action("  sh   bg   s "), Action::ShowBgpSummary);
        assert_eq!(action("show chassis in-service-upgrade"), Action::ShowRun);
        assert_eq!(action("sho cha in rea"), Action::ShowReadiness);
        assert_eq!(action("request system reboot in-service abort"), Action::AbortReboot);
        assert!(parse("request system reboot in-service no force").unwrap().has("no-confirm"));
    }

    #[test]
    fn arguments_in_any_order() {
        let route = parse("show route detail 10.0.0.0/8 longer table inet.0 prot bgp").unwrap();
        assert!(route.has("detail") && route.has("longer") && !route.has("exact"));
        assert_eq!(
            (route.get("prefix"), route.get("table"), route.get("protocol")),
            (Some("10.0.0.0/8"), Some("inet.0"), Some("bgp"))
        );
        let received = parse("show route receive-protocol bgp 10.0.0.2").unwrap();
        assert_eq!(received.get("receive-protocol bgp"), Some("10.0.0.2"));
        assert_eq!(parse("show interfaces eth0 terse").unwrap().get("interface"), Some("eth0"));
        assert_eq!(parse("show chassis in-service-upgrade report 3").unwrap().get("run"), Some("3"));
        assert_eq!(parse("clear bgp neighbor all soft").unwrap().get("neighbor"), Some("all"));
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let refusal = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(
            refusal("show bpg"),
            "syntax error at \"bpg\", expecting arp, bfd, bgp, chassis, configuration, forwarding-table, interfaces, ipv6, log, policy, route, system, task, version"
        );
        assert_eq!(refusal("re system"), "\"re\" is ambiguous: request, restart");
        assert_eq!(refusal("show bgp"), "missing argument, expecting summary, neighbor, group, replication");
        assert_eq!(refusal("clear bgp neighbor"), "missing argument, expecting <neighbor>");
        assert_eq!(refusal("show route table"), "missing argument, expecting inet.0 or inet6.0");
        assert!(refusal("show route exact longer").starts_with("syntax error at \"longer\""));
        assert!(refusal("show bgp neighbor nobody").contains("expecting <neighbor>"));
        assert!(refusal("show version please").contains("expecting the end of the line"));
        assert!(refusal("").starts_with("missing argument, expecting clear, configure, monitor, request"));
        assert!(refusal("show version | count").contains("pipes"));
        assert!(refusal(&"x".repeat(5000)).contains("too long"));
        assert!(refusal("show log ../chassis").contains("<log>"));
    }
}
