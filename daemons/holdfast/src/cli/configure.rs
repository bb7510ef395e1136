//! What a session in configure mode holds: where it stands, and the lock of the candidate when it wants that for itself.
//!
//! mgd says both and forgets them; so they outlive an mgd that is replaced. The lock is the kernel's: it goes when this
//! process goes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdfast_proto::v1::{ConfigureMode, ExecuteMode, ExecuteRead};

use super::{
    error::CliError,
    shell::{TERMINAL_POLL, readable},
};

/// How long the lock is tried for: mgd looks at it now and then, for a moment each time.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Between two tries.
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// Longest text that is read for mgd; it takes 16 MiB and says so itself.
const TEXT_BYTES_MAX: u64 = 17 * 1024 * 1024;

/// The mode of a session, shared by the shell and its line editor.
#[derive(Clone, Default)]
pub struct Configure(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    mode: Option<ConfigureMode>,
    lock: Option<File>,
}

impl Configure {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session is in configure mode.
    pub fn is_on(&self) -> bool {
        self.inner().mode.is_some()
    }

    /// It has the candidate for itself.
    pub fn is_exclusive(&self) -> bool {
        self.inner().lock.is_some()
    }

    /// Where it stands, for mgd.
    pub fn mode(&self) -> Option<ConfigureMode> {
        self.inner().mode.clone()
    }

    /// The line before the prompt.
    pub fn banner(&self) -> Option<String> {
        let mode = self.mode()?;
        let separator = if mode.level.is_empty() { "" } else { " " };
        Some(format!("[edit{separator}{}]", mode.level))
    }

    /// The prompt behind the operator's and the router's name.
    pub fn prompt(&self, name: &str) -> String {
        format!("{name}{} ", if self.is_on() { '#' } else { '>' })
    }

    /// Goes to where mgd says.
    pub fn change(&self, entering: ExecuteMode) -> Result<(), CliError> {
        let mut inner = self.inner();
        if !entering.lock_file.is_empty() {
            inner.lock = Some(lock(Path::new(&entering.lock_file), &entering.lock_text)?);
        }
        if entering.configure.is_none() {
            inner.lock = None;
        }
        inner.mode = entering.configure;
        Ok(())
    }
}

/// Takes the lock and leaves in its file who has it.
fn lock(path: &Path, text: &str) -> Result<File, CliError> {
    let failed = |reason: String| CliError::Lock { path: path.to_owned(), reason };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let mut file = file.map_err(|error| failed(error.to_string()))?;
    let started = Instant::now();
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::WouldBlock if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_RETRY),
            TryLockError::WouldBlock => return Err(failed("somebody else holds it".to_owned())),
            TryLockError::Error(error) => return Err(failed(error.to_string())),
        }
    }
    let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    written.map_err(|error| failed(error.to_string()))?;
    Ok(file)
}

/// Reads what mgd asks for: a file, or what is typed up to its end.
pub async fn read(wanted: &ExecuteRead) -> Result<Vec<u8>, CliError> {
    let from_terminal = wanted.file.is_empty();
    let name = if from_terminal { "the terminal".to_owned() } else { wanted.file.clone() };
    let failed = |source| CliError::Input { file: name, source };
    if from_terminal && io::stdin().is_terminal() {
        print!("{}", wanted.prompt);
        let _ = io::stdout().flush();
        return typed().await.map_err(failed);
    }
    let path = (!from_terminal).then(|| PathBuf::from(&wanted.file));
    let task = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        match path {
            Some(path) => File::open(path)?.take(TEXT_BYTES_MAX).read_to_end(&mut text)?,
            None => io::stdin().lock().take(TEXT_BYTES_MAX).read_to_end(&mut text)?,
        };
        Ok(text)
    });
    task.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
}

/// Lines from the terminal up to Ctrl-D. Read only when there is one, so that Ctrl-C is heard in between.
async fn typed() -> io::Result<Vec<u8>> {
    let mut text = String::new();
    loop {
        while !readable() {
            tokio::time::sleep(TERMINAL_POLL).await;
        }
        if io::stdin().read_line(&mut text)? == 0 {
            return Ok(text.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(level: &str, exclusive: bool) -> Option<ConfigureMode> {
        Some(ConfigureMode { level: level.to_owned(), exclusive, ..Default::default() })
    }

    #[test]
    fn prompts_tell_the_mode_and_the_level() {
        let configure = Configure::default();
        assert_eq!((configure.prompt("o@r1").as_str(), configure.banner()), ("o@r1> ", None));
        configure.change(ExecuteMode { configure: mode("", false), ..Default::default() }).unwrap();
        assert_eq!((configure.prompt("o@r1").as_str(), configure.banner().as_deref()), ("o@r1# ", Some("[edit]")));
        configure.change(ExecuteMode { configure: mode("protocols bgp", false), ..Default::default() }).unwrap();
        assert_eq!(configure.banner().as_deref(), Some("[edit protocols bgp]"));
        configure.change(ExecuteMode::default()).unwrap();
        assert!(!configure.is_on());
    }

    #[test]
    fn the_lock_is_held_until_the_mode_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exclusive.lock");
        let entering = |text: &str| ExecuteMode {
            configure: mode("", true),
            lock_file: path.display().to_string(),
            lock_text: text.to_owned(),
        };
        let (first, second) = (Configure::default(), Configure::default());
        first.change(entering("first")).unwrap();
        assert!(first.is_exclusive());
        assert!(matches!(second.change(entering("second")), Err(CliError::Lock { .. })) && !second.is_on());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        first.change(ExecuteMode::default()).unwrap();
        second.change(entering("2nd")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2nd");
    }
}
