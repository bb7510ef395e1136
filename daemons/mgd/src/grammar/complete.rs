//! Completion and `?`: what may stand at the end of a partial line.

use holdfast_proto::v1::{CompleteReply, Completion};

use super::{
    COMMANDS, Value, WORDS,
    parse::{Next, Position, placeholder},
};
use crate::{state::State, store::Store};

/// What may stand at `cursor` (a byte offset; what is behind it does not count).
pub fn complete(line: &str, cursor: usize, state: &State) -> CompleteReply {
    let before = line.get(..cursor.min(line.len())).unwrap_or(line);
    let start =
        before.rfind(char::is_whitespace).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let partial = before.get(start..).unwrap_or_default();
    let words = before.get(..start).unwrap_or_default();
    let Ok(position) = words.split_whitespace().try_fold(Position::start(), Position::advance) else {
        return CompleteReply { start: start as u32, ..Default::default() };
    };
    let mut completions = Vec::new();
    for next in position.nexts() {
        offer(&position, next, state, &mut completions);
    }
    completions.retain(|completion| !completion.literal || completion.word.starts_with(partial));
    completions.sort_by(|a, b| (!a.literal, &a.word).cmp(&(!b.literal, &b.word)));
    let executable = if partial.is_empty() {
        position.executable()
    } else {
        position.advance(partial).is_ok_and(|position| position.executable())
    };
    CompleteReply { completions, start: start as u32, executable }
}

fn offer(position: &Position, next: Next, state: &State, completions: &mut Vec<Completion>) {
    let mut add =
        |word: String, help: &str, literal| completions.push(Completion { word, help: help.to_owned(), literal });
    match next {
        Next::Word(word) => add(word.to_owned(), word_help(position, word), true),
        Next::Keyword(argument, word) => add(word.to_owned(), argument.help(), true),
        Next::Value(argument, value) => {
            let known = known_values(value, state);
            if !matches!(value, Value::Choice(_)) {
                add(placeholder(argument), argument.help(), false);
            }
            for word in known {
                add(word, argument.help(), true);
            }
        }
    }
}

fn word_help(position: &Position, word: &'static str) -> &'static str {
    let path = |words: &[&str]| {
        words.len() == position.depth + 1
            && words.last() == Some(&word)
            && position.candidates.iter().any(|command| command.words.starts_with(words))
    };
    let command = COMMANDS.iter().find(|command| path(command.words)).map(|command| command.help);
    command.or_else(|| WORDS.iter().find(|(words, _)| path(words)).map(|(_, help)| *help)).unwrap_or_default()
}

fn known_values(value: Value, state: &State) -> Vec<String> {
    match value {
        Value::Choice(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Value::Neighbor => neighbors(state),
        Value::NeighborOrAll => neighbors(state).into_iter().chain(["all".to_owned()]).collect(),
        Value::Policy => policies(state),
        Value::Log => crate::commands::logs(state),
        Value::Rollback => rollbacks(state),
        Value::Prefix | Value::Number | Value::Interface | Value::Time | Value::Text => Vec::new(),
    }
}

fn rollbacks(state: &State) -> Vec<String> {
    Store::new(&state.state_dir).labels().into_iter().map(|(number, _)| number.to_string()).collect()
}

fn policies(state: &State) -> Vec<String> {
    let policy = state.configuration().and_then(|committed| committed.configuration.compile(0).policy);
    policy.unwrap_or_default().statements.into_iter().map(|statement| statement.name).collect()
}

fn neighbors(state: &State) -> Vec<String> {
    let bgp = state.configuration().and_then(|committed| committed.configuration.compile(0).bgp);
    bgp.unwrap_or_default().neighbors.into_iter().map(|neighbor| neighbor.address).collect()
}
