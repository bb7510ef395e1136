//! The interactive shell: a line editor with history, Tab and `?`.

use std::{io::Write as _, path::PathBuf};

use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler, Helper,
    KeyEvent, RepeatCount,
    completion::{Completer, Pair},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::DefaultHistory,
    validate::Validator,
};

use super::{pipe_words, shell::Shell};

/// Lines of history kept.
const HISTORY_LINES: usize = 1_000;

/// Reads and carries out lines until `exit`, `quit` or the end of the input; says whether the last one succeeded.
pub fn run(shell: Shell, history: Option<PathBuf>) -> anyhow::Result<bool> {
    shell.check_router()?;
    let mut name = format!("{}@{}", shell.user, shell.host_name());
    let history =
        history.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".holdfast_history")));
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY_LINES)?.build();
    let mut editor: Editor<Completion, DefaultHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Completion { shell: shell.clone() }));
    let help = Box::new(QuestionMark { shell: shell.clone() });
    editor.bind_sequence(KeyEvent::from('?'), EventHandler::Conditional(help));
    if let Some(history) = &history {
        // A first session has none.
        let _ = editor.load_history(history);
    }
    let mut success = true;
    loop {
        let prompt = shell.configure.prompt(&name);
        if let Some(level) = shell.configure.banner() {
            println!("\n{level}");
        }
        match editor.readline(&prompt) {
            Ok(line) => {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                let _ = editor.add_history_entry(line);
                if matches!(line, "exit" | "quit") && !shell.configure.is_on() {
                    break;
                }
                success = shell.run_line(line);
                if shell.configure.is_on() && line.starts_with("com") {
                    // The router may have got another name.
                    name = format!("{}@{}", shell.user, shell.host_name());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    shell.leave();
    if let Some(history) = &history
        && let Err(error) = editor.save_history(history)
    {
        eprintln!("warning: the history was not kept in {}: {error}", history.display());
    }
    Ok(success)
}

/// What may stand at the cursor: where the partial word begins, words, and whether Enter would be enough.
pub fn candidates(shell: &Shell, line: &str, cursor: usize) -> (usize, Vec<Candidate>, bool) {
    let before = line.get(..cursor).unwrap_or(line);
    if let Some(pipe) = pipe_words::last_pipe(before) {
        let (start, words) = pipe_words::complete(before, pipe);
        let literal = |(word, help)| Candidate { word, help, literal: true };
        return (start, words.into_iter().map(literal).collect(), false);
    }
    let reply = shell.complete(before, before.len());
    let words = reply.completions.into_iter().map(|completion| Candidate {
        word: completion.word,
        help: completion.help,
        literal: completion.literal,
    });
    (reply.start as usize, words.collect(), reply.executable)
}

/// One word that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The word, or a placeholder.
    pub word: String,
    /// What it means.
    pub help: String,
    /// To be typed as it is.
    pub literal: bool,
}

/// `?` as text: one line for each possibility.
pub fn help(candidates: &[Candidate], executable: bool) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    if executable {
        rows.push(("<[Enter]>", "Execute this command"));
    }
    rows.extend(candidates.iter().map(|candidate| (candidate.word.as_str(), candidate.help.as_str())));
    if executable {
        rows.push(("|", "Pipe through a command"));
    }
    if rows.is_empty() {
        return "No valid completions\n".to_owned();
    }
    let width = rows.iter().map(|(word, _)| word.chars().count()).max().unwrap_or(0);
    let line = |(word, help): &(&str, &str)| format!("  {word:<width$}  {help}\n");
    format!("Possible completions:\n{}", rows.iter().map(line).collect::<String>())
}

struct Completion {
    shell: Shell,
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates, _) = candidates(&self.shell, line, cursor);
        let words = candidates.into_iter().filter(|candidate| candidate.literal);
        let pair = |candidate: Candidate| Pair { replacement: format!("{} ", candidate.word), display: candidate.word };
        Ok((start, words.map(pair).collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

struct QuestionMark {
    shell: Shell,
}

impl ConditionalEventHandler for QuestionMark {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let before = context.line().get(..context.pos())?;
        // In quotes and behind `match` it is a character like any other.
        if pipe_words::in_argument(before) || before.matches('"').count() % 2 == 1 {
            return None;
        }
        let (_, candidates, executable) = candidates(&self.shell, context.line(), context.pos());
        // The editor leaves the terminal's output processing on, so a line feed is a new line.
        print!("?\n{}", help(&candidates, executable));
        let _ = std::io::stdout().flush();
        Some(Cmd::Repaint)
    }
}
