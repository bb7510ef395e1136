//! Children of the lab: each in a process group of its own (a ctrl-C on the terminal reaches the lab alone, which
//! then ends them in order), ended by process id, politely first.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::programs;
use crate::{
    error::{Doing, LabError, Result},
    limits,
};

/// Gives a command a process group of its own.
pub trait OwnGroup {
    /// See the trait.
    fn own_group(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn own_group(&mut self) -> &mut Self {
        self.process_group(0)
    }
}

/// The command as it would be typed.
pub fn typed(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command to its end; returns its standard output, or an error with all that it said.
pub fn run(command: &mut Command) -> Result<String> {
    run_with_input(command, &[])
}

/// The same, with something on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    command.own_group().stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().doing(|| format!("start {}", typed(command)))?;
    // A writer of its own: the child may print before it has read everything.
    let writer = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        thread::spawn(move || stdin.write_all(&input))
    });
    let output = child.wait_with_output().doing(|| format!("wait for {}", typed(command)))?;
    if let Some(writer) = writer {
        // A child that fails early closes its input; its own words say why.
        let _ = writer.join();
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let output_text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err(LabError::Command { command: typed(command), status: output.status, output: output_text.trim().to_owned() })
}

/// Sends a signal to one process. A process that is gone is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(raw) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(raw), signal);
    }
}

/// From now on a process gets no memory beyond what it has (util-linux' prlimit).
pub fn starve(pid: u32) -> Result<()> {
    let bytes = super::procfs::data_bytes(pid)
        .ok_or_else(|| LabError::Subject(format!("process {pid} is gone, its memory cannot be limited")))?;
    run(Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--data={bytes}")])).map(drop)
}

/// Gives a thread a real-time priority (util-linux' chrt).
pub fn real_time(thread: Pid) -> Result<()> {
    run(Command::new(programs::CHRT.find()?).args(["--fifo", "--pid", "10", &thread.to_string()])).map(drop)
}

/// A child that ends with its guard.
#[derive(Debug)]
pub struct Guarded {
    title: String,
    child: Child,
    polite: Signal,
    words: Option<PathBuf>,
}

impl Guarded {
    /// Takes over a child; `polite` is the signal that asks it to end.
    pub fn new(title: impl Into<String>, child: Child, polite: Signal) -> Self {
        Self { title: title.into(), child, polite, words: None }
    }

    /// The file that holds what it prints, to be quoted when it ends by itself.
    pub fn with_words(mut self, file: PathBuf) -> Self {
        self.words = Some(file);
        self
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                let said = self.words.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
                Err(LabError::Fatal(format!("{} has ended by itself ({status}): {}", self.title, said.trim())))
            }
            _ => Ok(()),
        }
    }

    /// Asks it to end, waits, kills it if it does not.
    pub fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        signal(self.child.id(), Signal::SIGCONT);
        signal(self.child.id(), self.polite);
        if !self.wait(limits::TERMINATE_WITHIN) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Waits for an end that was asked for by other means; kills it if it does not come.
    pub fn wait_for_end(&mut self) {
        if !self.wait(limits::TERMINATE_WITHIN) {
            self.end();
        }
    }

    fn wait(&mut self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_quoted_with_its_words() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert!(
            error.contains("sh -c") && error.contains("out") && error.contains("err") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn input_larger_than_a_pipe_is_fed() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(run_with_input(&mut Command::new("cat"), &input).unwrap().len(), input.len());
    }

    #[test]
    fn a_stubborn_child_is_killed() {
        let child = Command::new("sleep").arg("60").own_group().spawn().unwrap();
        let mut guarded = Guarded::new("sleep", child, Signal::SIGTERM);
        guarded.check_running().unwrap();
        guarded.end();
        assert!(guarded.check_running().is_err());
    }
}
