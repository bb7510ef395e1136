//! What is asked again when the engine that answers is replaced, how often, and how that is noticed.
//!
//! Only commands that show something are: a router carries out what changes it once, or says that it is not known. What
//! an answer says is held back until it is whole ([`super::sink`]), so that one that breaks off leaves nothing behind,
//! and the next one begins at its beginning: in the middle it could not go on, since ages and counters have moved.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use holdfast_ipc::RunDir;

/// How long a management process that is being replaced is waited for.
pub const MANAGEMENT_PATIENCE: Duration = Duration::from_secs(15);
/// Answers of one command that may break off; in-service reboots are seconds apart, answers shorter than that.
const BROKEN_MAX: u32 = 5;
/// When no other try begins any more.
const REPEAT_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether another engine has become the primary.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a command changes nothing, so that it may be asked again.
pub fn only_shows(line: &str) -> bool {
    // In configure mode both lead to another command.
    let leads = |word: &&str| word.len() > 1 && ["run", "top"].iter().any(|leader| leader.starts_with(*word));
    let command = line.split_whitespace().find(|word| !leads(word)).unwrap_or_default();
    ["sh", "te", "mo"].iter().any(|begin| command.starts_with(begin))
}

/// How often one command has been asked.
pub struct Tries {
    began: Instant,
    heard: Instant,
    broken: u32,
}

impl Tries {
    /// The first one begins.
    pub fn new(now: Instant) -> Self {
        Self { began: now, heard: now, broken: 0 }
    }

    /// When a router was last known to be there.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether there is to be another one after this one, which broke in the middle of its answer or before.
    pub fn another(&mut self, answered: bool, now: Instant) -> bool {
        if answered {
            self.broken += 1;
            self.heard = now;
        }
        self.broken <= BROKEN_MAX
            && now.duration_since(self.heard) < MANAGEMENT_PATIENCE
            && now.duration_since(self.began) < REPEAT_WITHIN
    }
}

/// The engine that is asked in one try.
pub struct Asked {
    link: PathBuf,
    leads_to: Option<PathBuf>,
    /// It has said something, or another one is primary by now.
    pub answered: bool,
}

impl Asked {
    /// The one that is primary now.
    pub fn new(run_dir: &RunDir) -> Self {
        let link = run_dir.master_management_socket();
        let leads_to = fs::read_link(&link).ok();
        Self { link, leads_to, answered: false }
    }

    /// Waits until another one is. The old one is frozen then: its connection stands, and nothing comes.
    pub async fn replaced(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let leads_to = fs::read_link(&self.link).ok();
            if leads_to.is_some() && leads_to != self.leads_to {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shows_is_asked_again() {
        for line in
            ["show route", " sh ro", "monitor chassis", "test policy A 10.0.0.0/8", "run show route", "top show"]
        {
            assert!(only_shows(line), "{line}");
        }
        for line in
            ["", "set system host-name show", "commit", "run restart routing", "request system", "top set a", "run"]
        {
            assert!(!only_shows(line), "{line}");
        }
    }

    #[test]
    fn tries_are_bounded_in_number_and_time() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut silent = Tries::new(began);
        assert!(silent.another(false, after(14)) && !silent.another(false, after(15)));
        let mut broken = Tries::new(began);
        assert!((1..=5).all(|second| broken.another(true, after(second))));
        assert_eq!(broken.heard(), after(5));
        assert!(!broken.another(true, after(6)));
        let mut slow = Tries::new(began);
        assert!(slow.another(true, after(30)) && slow.another(false, after(44)) && !slow.another(true, after(60)));
    }
}
