//! `show log`: the end of a file under the state-dir's `log/`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use serde::Serialize;

use super::{CommandResult, Context, Outcome};
use crate::{clients::AskError, grammar::Invocation, limits, state::State};

/// The log shown when none is named.
const DEFAULT: &str = "chassisd";

/// Names of the logs there are, without `.log`.
pub fn names(state: &State) -> Vec<String> {
    let files = fs::read_dir(state.state_dir.join("log")).into_iter().flatten().flatten();
    let stem = |file: fs::DirEntry| file.file_name().to_str()?.strip_suffix(".log").map(str::to_owned);
    let mut names: Vec<String> = files.filter_map(stem).collect();
    names.sort();
    names
}

pub(super) async fn show(context: &Context, invocation: &Invocation) -> CommandResult {
    #[derive(Serialize)]
    struct View {
        log: String,
        lines: Vec<String>,
    }
    let name = invocation.get("log").unwrap_or(DEFAULT).trim_end_matches(".log").to_owned();
    let known = names(&context.state);
    if !known.contains(&name) {
        let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
        return Err(AskError::Refused(format!("log {name} does not exist; logs: {known}")));
    }
    let path = context.state.state_dir.join("log").join(format!("{name}.log"));
    let text = tail(&path).map_err(|error| AskError::Refused(format!("cannot read {}: {error}", path.display())))?;
    let view = View { log: name, lines: text.lines().map(str::to_owned).collect() };
    context.print(&view, |view| view.lines.iter().map(|line| format!("{line}\n")).collect()).await?;
    Ok(Outcome::Done)
}

/// The last lines of a file, whole lines only.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(limits::LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(limits::LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let first_whole = if skipped == 0 { 0 } else { text.find('\n').map_or(0, |end| end + 1) };
    Ok(text.get(first_whole..).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_has_whole_lines_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(tail(&path).unwrap(), "one\ntwo\n");
        let long: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
        fs::write(&path, &long).unwrap();
        let tail = tail(&path).unwrap();
        assert!(
            tail.starts_with("line ")
                && tail.ends_with("line 19999\n")
                && tail.len() <= limits::LOG_TAIL_BYTES as usize
        );
    }
}
