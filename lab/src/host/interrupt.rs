//! SIGINT, SIGTERM and SIGHUP become a flag that every wait of the lab looks at, so that a lab can be ended at
//! any moment and takes itself down in the ordinary way. (For `kill -9` there is the guardian.)

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{
    error::{Doing, LabError, Result},
    limits,
};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(Default::default)
}

/// Installs the handlers, once per process.
pub fn install() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag())).doing(|| format!("handle signal {signal}"))?;
    }
    Ok(())
}

/// Whether a signal has arrived.
pub fn requested() -> bool {
    flag().load(Ordering::SeqCst)
}

/// Fails if a signal has arrived.
pub fn check() -> Result<()> {
    if requested() { Err(LabError::Interrupted) } else { Ok(()) }
}

/// Sleeps, but not past a signal.
pub fn sleep(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(limits::POLL_EVERY));
    }
}

/// Why a wait goes on.
#[derive(Debug)]
pub enum NotYet {
    /// This was observed instead; ask again.
    Observed(String),
    /// It will never come true.
    Never(LabError),
}

impl From<String> for NotYet {
    fn from(observed: String) -> Self {
        Self::Observed(observed)
    }
}

impl From<&str> for NotYet {
    fn from(observed: &str) -> Self {
        Self::Observed(observed.into())
    }
}

impl From<LabError> for NotYet {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Fatal(_) | LabError::Interrupted => Self::Never(error),
            other => Self::Observed(other.to_string()),
        }
    }
}

/// Asks until the answer is `Ok(value)`.
pub fn wait_for<T>(what: &str, within: Duration, mut ask: impl FnMut() -> std::result::Result<T, NotYet>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        check()?;
        let observed = match ask() {
            Ok(value) => return Ok(value),
            Err(NotYet::Never(error)) => return Err(error),
            Err(NotYet::Observed(observed)) => observed,
        };
        if Instant::now() >= end {
            return Err(LabError::Timeout { what: what.to_owned(), after_s: within.as_secs(), observed });
        }
        thread::sleep(limits::POLL_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_was_observed() {
        let error = wait_for::<()>("the moon", Duration::from_millis(120), || Err("clouds".into())).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s for the moon; observed: clouds");
    }
}
