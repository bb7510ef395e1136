//! The router's command line, as a user has it: `holdfast cli --run-dir DIR -c COMMAND`.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    error::{Doing, LabError, Result},
    host::{
        interrupt,
        process::{self, OwnGroup},
    },
    limits,
};

/// Runs commands of one router.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    run_dir: PathBuf,
}

/// A command that is under way; killed with the guard.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    command: String,
}

impl Cli {
    /// For a router's run-dir.
    pub fn new(program: &Path, run_dir: &Path) -> Self {
        Self { program: program.to_owned(), run_dir: run_dir.to_owned() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("cli").arg("--run-dir").arg(&self.run_dir).args(["-c", line]);
        command
    }

    /// As it would be typed.
    pub fn typed(&self) -> String {
        format!("{} cli --run-dir {}", self.program.display(), self.run_dir.display())
    }

    /// A command that answers at once; its standard output. Fails if the command fails.
    pub fn text(&self, line: &str) -> Result<String> {
        Running::to_end(self.command(line), limits::COMMAND_WITHIN)
    }

    /// The same, as JSON.
    pub fn json(&self, line: &str) -> Result<Value> {
        let mut command = self.command(line);
        command.args(["--format", "json"]);
        let text = Running::to_end(command, limits::COMMAND_WITHIN)?;
        serde_json::from_str(&text)
            .map_err(|e| LabError::Subject(format!("{line:?} --format json did not print JSON ({e}): {text}")))
    }

    /// The JSON that a command prints even if it ends with an error (a report of a run that failed); nothing if there is none.
    pub fn json_even_if_failed(&self, line: &str) -> Option<Value> {
        let mut command = self.command(line);
        command.args(["--format", "json"]);
        let mut text = String::new();
        // Words of an error would come between its lines.
        let running = Running::spawn(command, Stdio::null()).ok()?;
        running.finish(limits::COMMAND_WITHIN, |line| text = format!("{text}{line}\n")).ok()?;
        serde_json::Deserializer::from_str(text.get(text.find('{')?..)?).into_iter().next()?.ok()
    }

    /// A command that goes on printing.
    pub fn start(&self, line: &str) -> Result<Running> {
        Running::start(self.command(line))
    }
}

impl Running {
    /// Starts any command; its standard output and error come as lines.
    pub fn start(command: Command) -> Result<Self> {
        Self::spawn(command, Stdio::piped())
    }

    /// Runs any command to its end; what it printed. Fails if the command fails.
    pub fn to_end(command: Command, within: Duration) -> Result<String> {
        let running = Self::start(command)?;
        let (typed, mut lines) = (running.command.clone(), Vec::new());
        let status = running.finish(within, |line| lines.push(line.to_owned()))?;
        let output = lines.join("\n");
        if status.success() { Ok(output) } else { Err(LabError::Command { command: typed, status, output }) }
    }

    fn spawn(mut command: Command, errors: Stdio) -> Result<Self> {
        command.own_group().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let typed = process::typed(&command);
        let mut child = command.spawn().doing(|| format!("start {typed}"))?;
        let (sender, lines) = mpsc::sync_channel(1024);
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, sender);
        }
        Ok(Self { child, lines, command: typed })
    }

    /// Passes on what has been printed so far; never waits.
    pub fn drain(&mut self, mut sink: impl FnMut(&str)) {
        while let Ok(line) = self.lines.try_recv() {
            sink(&line);
        }
    }

    /// Sends the command itself a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        process::signal(self.child.id(), signal);
    }

    /// Whether the command has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for the end, passing every line on.
    pub fn finish(mut self, within: Duration, mut sink: impl FnMut(&str)) -> Result<ExitStatus> {
        let end = Instant::now() + within;
        let mut last = String::from("nothing printed");
        let mut printing = true;
        loop {
            interrupt::check()?;
            if printing {
                match self.lines.recv_timeout(limits::POLL_EVERY) {
                    Ok(line) => {
                        sink(&line);
                        last = line;
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => printing = false,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                }
            } else {
                thread::sleep(limits::POLL_EVERY / 10);
            }
            if let Some(status) = self.child.try_wait().doing(|| format!("wait for {}", self.command))? {
                self.last_lines(printing, &mut sink);
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(LabError::Timeout {
                    what: format!("the end of: {}", self.command),
                    after_s: within.as_secs(),
                    observed: format!("still running; its last line: {last}"),
                });
            }
        }
    }

    /// What the command printed last may still be on its way from the threads that read it. Not for ever: a daemon that it
    /// left behind may hold its output open.
    fn last_lines(&self, mut printing: bool, mut sink: impl FnMut(&str)) {
        let end = Instant::now() + limits::LAST_LINES_WITHIN;
        while printing {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => sink(&line),
                Err(_) => printing = false,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_lines(from: impl std::io::Read + Send + 'static, to: mpsc::SyncSender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            if to.send(text).is_err() {
                break;
            }
        }
    });
}

/// The first value under a key, however deep, hyphens and underscores being the same.
pub fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .iter()
            .find_map(|(k, v)| (k.replace('-', "_") == key).then_some(v))
            .or_else(|| map.values().find_map(|v| find(v, key))),
        Value::Array(list) => list.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// Every object that has a key, however deep.
pub fn objects_with<'a>(value: &'a Value, key: &str, out: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            if map.keys().any(|k| k.replace('-', "_") == key) {
                out.push(value);
            }
            map.values().for_each(|v| objects_with(v, key, out));
        }
        Value::Array(list) => list.iter().for_each(|v| objects_with(v, key, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_found_in_either_spelling() {
        let value = json!({"a": {"control-plane-gap-ms": 12.5}, "processes": [{"name": "rpd", "pid": 7}, {"name": "mgd", "pid": 8}]});
        assert_eq!(find(&value, "control_plane_gap_ms"), Some(&json!(12.5)));
        let mut found = Vec::new();
        objects_with(&value, "pid", &mut found);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec sleep 60"]);
        let mut seen = Vec::new();
        let error = Running::start(command)
            .unwrap()
            .finish(Duration::from_millis(300), |l| seen.push(l.to_owned()))
            .unwrap_err();
        assert_eq!(seen, ["begun"]);
        assert!(error.to_string().contains("begun"), "{error}");
    }
}
