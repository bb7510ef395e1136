//! Lines of configure mode: a command word, and behind it mostly a statement, which the models know and this does not.

use std::time::Duration;

use holdfast_config::{Load, Purpose, Rearrange, Suggestion};
use holdfast_proto::v1::{CompleteReply, Completion, ConfigureMode};

use super::parse::ParseError;
use crate::{candidate::Candidate, limits, state::State, store::Store};

/// A line of configure mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'l> {
    /// What to do.
    pub command: Edit<'l>,
    /// Characters before the words behind the command, to tell columns by.
    pub columns_before: u32,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<'l> {
    /// Add a statement.
    Set(&'l str),
    /// Take out what a path names.
    Delete(&'l str),
    /// Make inactive statements count.
    Activate(&'l str),
    /// Keep statements without their counting.
    Deactivate(&'l str),
    /// Give statements another name or place, or make a second one.
    Rearrange(Rearrange, &'l str),
    /// Go to a level.
    GoTo(&'l str),
    /// Go up some levels.
    Up(u32),
    /// Go to the top, or carry out a line there.
    Top(Option<Box<Line<'l>>>),
    /// Go back to where `edit` was typed, at the top leave; `whole`: leave.
    Exit {
        /// From any level.
        whole: bool,
    },
    /// Display what a path holds.
    Show(&'l str),
    /// Display what was changed since a predecessor; 0 is what is in force.
    Compare(u32),
    /// Make a predecessor the candidate.
    Rollback(u32),
    /// Take a text in.
    Load {
        /// How.
        how: Load,
        /// A file; empty: the terminal.
        file: &'l str,
    },
    /// Write the candidate into a file.
    Save(&'l str),
    /// Put the candidate in force.
    Commit(Commit<'l>),
    /// Carry out an operational command.
    Run(&'l str),
}

/// What is asked of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit<'l> {
    /// Only check.
    pub check: bool,
    /// Leave configure mode after it.
    pub and_quit: bool,
    /// Why it is made.
    pub comment: &'l str,
    /// It is taken back unless it is confirmed within so many minutes.
    pub confirm_minutes: Option<u32>,
}

impl Commit<'_> {
    /// The time in which it has to be confirmed.
    pub fn confirm_within(&self) -> Option<Duration> {
        self.confirm_minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60))
    }
}

/// The command words, with their help.
const COMMANDS: [(&str, &str); 19] = [
    ("activate", "Make inactive statements count again"),
    ("commit", "Check the candidate and put it in force"),
    ("compare", "Show what was changed"),
    ("copy", "Make a second entry like one that is there"),
    ("deactivate", "Keep statements without their counting"),
    ("delete", "Take statements out"),
    ("edit", "Go to a level"),
    ("exit", "Leave this level"),
    ("insert", "Put a statement before or after another one"),
    ("load", "Take a text in"),
    ("quit", "Leave this level"),
    ("rename", "Give an entry another name"),
    ("rollback", "Make an earlier configuration the candidate"),
    ("run", "Carry out an operational command"),
    ("save", "Write the candidate into a file"),
    ("set", "Add a statement or change a value"),
    ("show", "Show the candidate"),
    ("top", "Go to the top level, or carry out a command there"),
    ("up", "Go up one level, or some"),
];

const COMMIT_WORDS: [(&str, &str); 4] = [
    ("and-quit", "Leave configure mode when it is in force"),
    ("check", "Only check, change nothing"),
    ("comment", "Keep a word on why"),
    ("confirmed", "Take it back unless it is confirmed in time, by a commit"),
];

const LOAD_WORDS: [(&str, &str); 4] = [
    ("merge", "Add to the candidate; values stated replace those that are there"),
    ("override", "Take the place of the whole candidate"),
    ("replace", "As merge, but what is marked with replace: takes the place of what is there"),
    ("set", "Lines of set, delete, activate, deactivate, rename, copy and insert"),
];

/// Parses one line.
pub fn parse(line: &str) -> Result<Line<'_>, ParseError> {
    if line.len() > limits::LINE_BYTES_MAX {
        return Err(ParseError::Line("the line is too long"));
    }
    at(line, 0)
}

fn at(line: &str, before: u32) -> Result<Line<'_>, ParseError> {
    let (word, behind) = first(line);
    let words = line.get(behind..).unwrap_or_default().trim_end();
    let columns_before = before + line.get(..behind).map_or(0, |before| before.chars().count() as u32);
    let command = one_of(word, &COMMANDS)?;
    let command = match command {
        "set" => Edit::Set(words),
        "delete" => Edit::Delete(words),
        "activate" => Edit::Activate(words),
        "deactivate" => Edit::Deactivate(words),
        "rename" | "copy" | "insert" => Edit::Rearrange(rearrangement(command), words),
        "edit" => Edit::GoTo(words),
        "show" => Edit::Show(words),
        "run" => Edit::Run(words),
        "top" if words.is_empty() => Edit::Top(None),
        "top" if stands_first(words, "top") => return Err(ParseError::Line(TOP_TWICE)),
        "top" => Edit::Top(Some(Box::new(at(words, columns_before)?))),
        "up" => Edit::Up(number(words, 1)?),
        "rollback" => Edit::Rollback(number(words, 0)?),
        "compare" => Edit::Compare(compared(words)?),
        "exit" | "quit" => Edit::Exit { whole: optional(words, "configuration-mode")? },
        "load" => load(words)?,
        "save" => Edit::Save(one(words, "<file>")?),
        _ => Edit::Commit(commit(words)?),
    };
    Ok(Line { command, columns_before })
}

fn rearrangement(command: &str) -> Rearrange {
    match command {
        "rename" => Rearrange::Rename,
        "copy" => Rearrange::Copy,
        _ => Rearrange::Insert,
    }
}

/// Nothing is gained by it, and a line could hold as many as a process has stack for.
const TOP_TWICE: &str = "top stands once";

fn stands_first(line: &str, command: &str) -> bool {
    one_of(split(line).0, &COMMANDS) == Ok(command)
}

/// The first word, and where in the line the next one begins.
fn first(line: &str) -> (&str, usize) {
    let begin = line.len() - line.trim_start().len();
    let end = line.get(begin..).and_then(|rest| rest.find(char::is_whitespace)).map_or(line.len(), |at| begin + at);
    let (word, rest) = (line.get(begin..end).unwrap_or_default(), line.get(end..).unwrap_or_default());
    (word, line.len() - rest.trim_start().len())
}

/// The first word and the others.
fn split(line: &str) -> (&str, &str) {
    let (word, behind) = first(line);
    (word, line.get(behind..).unwrap_or_default())
}

fn one_of<'w>(word: &str, known: &[(&'w str, &str)]) -> Result<&'w str, ParseError> {
    if let Some((exact, _)) = known.iter().find(|(name, _)| *name == word) {
        return Ok(exact);
    }
    let fitting: Vec<&'w str> = known.iter().map(|(name, _)| *name).filter(|name| name.starts_with(word)).collect();
    let all = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match fitting.as_slice() {
        _ if word.is_empty() => Err(ParseError::Incomplete { expecting: all() }),
        [one] => Ok(one),
        [] => Err(ParseError::Unknown { word: word.to_owned(), expecting: all() }),
        several => Err(ParseError::Ambiguous { word: word.to_owned(), candidates: several.join(", ") }),
    }
}

fn unknown(word: &str, expecting: &str) -> ParseError {
    ParseError::Unknown { word: word.to_owned(), expecting: expecting.to_owned() }
}

fn number(words: &str, default: u32) -> Result<u32, ParseError> {
    if words.is_empty() {
        return Ok(default);
    }
    words.parse().map_err(|_| unknown(words, "a number"))
}

fn compared(words: &str) -> Result<u32, ParseError> {
    match split(words) {
        ("", _) => Ok(0),
        ("rollback", number_words) => number(number_words, 0),
        (other, _) => Err(unknown(other, "rollback <number>, the end of the line")),
    }
}

fn optional(words: &str, word: &'static str) -> Result<bool, ParseError> {
    match words {
        "" => Ok(false),
        given if word.starts_with(given) => Ok(true),
        other => Err(unknown(other, &format!("{word}, the end of the line"))),
    }
}

fn one<'l>(words: &'l str, expecting: &str) -> Result<&'l str, ParseError> {
    match split(words) {
        ("", _) => Err(ParseError::Incomplete { expecting: expecting.to_owned() }),
        (word, "") => Ok(word.trim_matches('"')),
        (_, behind) => Err(unknown(behind, "the end of the line")),
    }
}

fn load(words: &str) -> Result<Edit<'_>, ParseError> {
    let (word, source) = split(words);
    let how = match one_of(word, &LOAD_WORDS)? {
        "merge" => Load::Merge,
        "override" => Load::Override,
        "replace" => Load::Replace,
        _ => Load::Set,
    };
    let file = match one(source, "<file>, terminal")? {
        "terminal" => "",
        file => file,
    };
    Ok(Edit::Load { how, file })
}

fn commit(words: &str) -> Result<Commit<'_>, ParseError> {
    let mut commit = Commit::default();
    let mut rest = words;
    while !rest.is_empty() {
        let (word, behind) = split(rest);
        rest = behind;
        match one_of(word, &COMMIT_WORDS)? {
            "check" => commit.check = true,
            "and-quit" => commit.and_quit = true,
            "confirmed" => {
                let (minutes, behind) = confirmation(rest)?;
                commit.confirm_minutes = Some(minutes);
                rest = behind;
            }
            _ => {
                let (comment, behind) = quoted(rest)?;
                commit.comment = comment;
                rest = behind;
            }
        }
    }
    if commit.check && commit != (Commit { check: true, ..Commit::default() }) {
        return Err(ParseError::Line("commit check goes alone: it changes nothing"));
    }
    Ok(commit)
}

/// The minutes behind `confirmed`, if they are said, and what stands behind them.
fn confirmation(words: &str) -> Result<(u32, &str), ParseError> {
    let (word, behind) = split(words);
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok((limits::CONFIRM_MINUTES_DEFAULT, words));
    }
    match word.parse() {
        Ok(minutes @ 1..=limits::CONFIRM_MINUTES_MAX) => Ok((minutes, behind)),
        _ => Err(unknown(word, &format!("1 to {} minutes", limits::CONFIRM_MINUTES_MAX))),
    }
}

/// One word, or a text in quotes, and what stands behind it.
fn quoted(words: &str) -> Result<(&str, &str), ParseError> {
    let Some(inside) = words.strip_prefix('"') else {
        let (word, behind) = split(words);
        let missing = || ParseError::Incomplete { expecting: "<text>".to_owned() };
        return if word.is_empty() { Err(missing()) } else { Ok((word, behind)) };
    };
    let closed = inside.split_once('"').ok_or(ParseError::Line("the closing quote is missing"))?;
    Ok((closed.0, closed.1.trim_start()))
}

/// What may stand at `cursor` of a line of configure mode.
pub fn complete(line: &str, cursor: usize, mode: &ConfigureMode, state: &State) -> CompleteReply {
    let before = line.get(..cursor.min(line.len())).unwrap_or(line);
    below(before, 0, &mode.level, state)
}

/// `offset`: where `line` begins in what was typed.
fn below(line: &str, offset: usize, level: &str, state: &State) -> CompleteReply {
    let behind_blank = |(at, blank): (usize, char)| at + blank.len_utf8();
    let start = line.char_indices().rfind(|(_, character)| character.is_whitespace()).map_or(0, behind_blank);
    let (whole, partial) = line.split_at(start);
    let (word, words) = split(whole);
    let reply = |words: Vec<Suggestion>, executable| {
        let fits = |word: &Suggestion| !word.literal || word.word.starts_with(partial);
        let completion = |Suggestion { word, help, literal }| Completion { word, help, literal };
        let completions = words.into_iter().filter(fits).map(completion).collect();
        CompleteReply { completions, start: (offset + start) as u32, executable }
    };
    if word.is_empty() {
        let executable = ["compare", "exit", "quit", "commit", "show", "top", "up"];
        let typed = one_of(partial, &COMMANDS).is_ok_and(|word| executable.contains(&word));
        return reply(known(&COMMANDS), typed);
    }
    let Ok(word) = one_of(word, &COMMANDS) else { return reply(Vec::new(), false) };
    let statement = |purpose| {
        let Ok(draft) = Candidate::new(&state.state_dir).load(state) else { return reply(Vec::new(), false) };
        let suggested = draft.complete(level, words, purpose, &state.schema);
        let typed = format!("{words} {partial}");
        let complete = match partial.is_empty() {
            true => suggested.complete,
            false => draft.complete(level, &typed, purpose, &state.schema).complete,
        };
        reply(suggested.words, complete)
    };
    let rest = first(line).1;
    let behind = line.get(rest..).unwrap_or_default();
    match word {
        "set" => statement(Purpose::Set),
        "edit" => statement(Purpose::Edit),
        "delete" | "activate" | "deactivate" => statement(Purpose::Existing),
        "rename" | "copy" | "insert" => {
            let Ok(draft) = Candidate::new(&state.state_dir).load(state) else { return reply(Vec::new(), false) };
            let how = rearrangement(word);
            let offered = draft.complete_rearrange(how, level, words, &state.schema);
            // Any name that is typed may be the new one.
            let names = |words: &str| words.contains(" to ") && how != Rearrange::Insert;
            reply(offered.words, offered.complete || (names(words) && !partial.is_empty()))
        }
        "show" => {
            let mut reply = statement(Purpose::Existing);
            reply.executable |= words.is_empty() && partial.is_empty();
            reply
        }
        "run" => {
            let mut reply = super::complete(behind, behind.len(), state);
            reply.start += (offset + rest) as u32;
            reply
        }
        "top" if stands_first(words, "top") => reply(Vec::new(), false),
        "top" => below(behind, offset + rest, "", state),
        "commit" if words.split_whitespace().any(|word| word == "confirmed") => {
            let minutes = words.trim_end().ends_with("confirmed");
            let mut offered: Vec<Suggestion> =
                minutes.then(|| placeholder("<minutes>", "How long it waits; 10 if not said")).into_iter().collect();
            offered.extend(
                known(&COMMIT_WORDS).into_iter().filter(|word| !["check", "confirmed"].contains(&word.word.as_str())),
            );
            reply(offered, true)
        }
        "commit" => reply(known(&COMMIT_WORDS), partial.is_empty() || words == "check"),
        "load" if words.is_empty() => reply(known(&LOAD_WORDS), false),
        "load" => {
            reply(vec![placeholder("<file>", "A file"), literal("terminal", "What is typed, up to Ctrl-D")], true)
        }
        "save" => reply(vec![placeholder("<file>", "A file")], !partial.is_empty()),
        "rollback" => reply(predecessors(state), true),
        "compare" if words.is_empty() => reply(vec![literal("rollback", "With an earlier configuration")], true),
        "compare" => reply(predecessors(state), true),
        "up" => reply(vec![placeholder("<levels>", "How many")], true),
        _ => reply(vec![literal("configuration-mode", "From any level")], true),
    }
}

fn known(words: &[(&str, &str)]) -> Vec<Suggestion> {
    words.iter().map(|(word, help)| literal(word, help)).collect()
}

fn literal(word: &str, help: &str) -> Suggestion {
    Suggestion { word: word.to_owned(), help: help.to_owned(), literal: true }
}

fn placeholder(word: &str, help: &str) -> Suggestion {
    Suggestion { word: word.to_owned(), help: help.to_owned(), literal: false }
}

fn predecessors(state: &State) -> Vec<Suggestion> {
    let kept = Store::new(&state.state_dir).labels();
    let help = |label: &crate::store::Label| format!("commit {} by {} {}", label.commit_id, label.user, label.comment);
    kept.iter().map(|(number, label)| literal(&number.to_string(), help(label).trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Edit<'_> {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
    }

    #[test]
    fn lines_are_taken_apart() {
        assert_eq!(command("set system host-name \"a  b\""), Edit::Set("system host-name \"a  b\""));
        assert_eq!(command(" del system"), Edit::Delete("system"));
        assert_eq!(command("up"), Edit::Up(1));
        assert_eq!(command("up 3"), Edit::Up(3));
        assert_eq!(command("rollback 2"), Edit::Rollback(2));
        assert_eq!(command("exit conf"), Edit::Exit { whole: true });
        assert_eq!(command("load merge terminal"), Edit::Load { how: Load::Merge, file: "" });
        assert_eq!(command("load set /tmp/x"), Edit::Load { how: Load::Set, file: "/tmp/x" });
        let expected = Commit { and_quit: true, comment: "new peer, ticket 4", ..Commit::default() };
        assert_eq!(command("commit comment \"new peer, ticket 4\" and-quit"), Edit::Commit(expected));
        let confirmed = |minutes| Commit { confirm_minutes: Some(minutes), ..Commit::default() };
        assert_eq!(command("commit confirmed"), Edit::Commit(confirmed(10)));
        let expected = Commit { and_quit: true, comment: "x", ..confirmed(5) };
        assert_eq!(command("commit conf 5 comment x and-quit"), Edit::Commit(expected));
        let renamed = Edit::Rearrange(Rearrange::Rename, "group A to group B");
        assert_eq!(command("rename group A to group B"), renamed);
        assert_eq!(command("load replace /x"), Edit::Load { how: Load::Replace, file: "/x" });
        assert_eq!(command("run show version"), Edit::Run("show version"));
        assert_eq!(command("compare rollback 1"), Edit::Compare(1));
        let top = parse("top set system").unwrap();
        assert_eq!(top.command, Edit::Top(Some(Box::new(Line { command: Edit::Set("system"), columns_before: 8 }))));
        assert_eq!(parse("  set   x y").unwrap().columns_before, 8);
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let refusal = |line: &str| parse(line).unwrap_err().to_string();
        assert!(refusal("sett").contains("expecting activate, commit"), "{}", refusal("sett"));
        assert_eq!(refusal("co"), "\"co\" is ambiguous: commit, compare, copy");
        assert!(refusal("rollback x").contains("a number"));
        assert!(refusal("commit check and-quit").contains("goes alone"));
        assert!(refusal("commit check confirmed").contains("goes alone"));
        assert!(refusal("commit confirmed 0").contains("1 to 65535 minutes"));
        assert!(refusal("commit confirmed 70000").contains("1 to 65535 minutes"));
        assert_eq!(refusal("commit co"), "\"co\" is ambiguous: comment, confirmed");
        assert!(refusal("commit comment \"x").contains("closing quote"));
        assert!(refusal("commit now").contains("and-quit, check, comment, confirmed"));
        assert!(refusal("load").contains("merge, override, replace, set"));
        assert!(refusal("load merge").contains("<file>, terminal"));
        assert!(refusal("save a b").contains("end of the line"));
        assert!(refusal(&"x".repeat(5000)).contains("too long"));
    }
}
