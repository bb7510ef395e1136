//! Which daemons have taken the configuration into force.

use std::collections::BTreeMap;

/// The daemons of a slot that have to apply a configuration.
pub const DAEMONS: [&str; 2] = ["rpd", "pfed"];

/// What daemons have said of the configuration published last. What they still say of an earlier one does not count:
/// it may be one that was taken back.
#[derive(Debug, Default)]
pub struct Applied {
    expected: u64,
    reports: BTreeMap<String, Report>,
}

#[derive(Debug, Clone)]
struct Report {
    ok: bool,
    message: String,
}

impl Applied {
    /// A configuration is published: nobody has applied it yet.
    pub fn expect(&mut self, commit_id: u64) {
        self.expected = commit_id;
        self.reports.clear();
    }

    /// Takes a report on the commit that is expected.
    pub fn report(&mut self, daemon: &str, commit_id: u64, ok: bool, message: &str) {
        if DAEMONS.contains(&daemon) && commit_id == self.expected {
            self.reports.insert(daemon.to_owned(), Report { ok, message: message.to_owned() });
        }
    }

    /// Daemons that have not answered yet.
    pub fn missing(&self) -> Vec<&'static str> {
        DAEMONS.into_iter().filter(|daemon| !self.reports.contains_key(*daemon)).collect()
    }

    /// Why the configuration cannot be applied, when a daemon has said so.
    pub fn refusal(&self) -> Option<String> {
        let (daemon, report) = self.reports.iter().find(|(_, report)| !report.ok)?;
        Some(format!("{daemon} cannot apply commit {}: {}", self.expected, report.message))
    }

    /// What daemons that have applied it have to say about it.
    pub fn remarks(&self) -> Vec<String> {
        let remarks = self.reports.iter().filter(|(_, report)| report.ok && !report.message.is_empty());
        remarks.map(|(daemon, report)| format!("{daemon}: {}", report.message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_daemons_have_to_apply_the_published_commit() {
        let mut applied = Applied::default();
        applied.expect(2);
        assert_eq!(applied.missing(), ["rpd", "pfed"]);
        applied.report("rpd", 2, true, "");
        applied.report("pfed", 1, true, "");
        applied.report("stranger", 2, false, "no");
        assert_eq!(applied.missing(), ["pfed"]);
        applied.report("pfed", 2, false, "eth9 does not exist");
        assert_eq!(applied.refusal().as_deref(), Some("pfed cannot apply commit 2: eth9 does not exist"));
        assert!(applied.missing().is_empty());
        applied.report("pfed", 2, true, "eth9 will be set up when it comes");
        assert_eq!(applied.refusal(), None);
        assert_eq!(applied.remarks(), ["pfed: eth9 will be set up when it comes"]);
    }

    #[test]
    fn a_late_word_on_a_commit_that_was_taken_back_does_not_count() {
        let mut applied = Applied::default();
        applied.expect(3);
        applied.report("pfed", 3, false, "no");
        applied.expect(2);
        applied.report("rpd", 3, true, "");
        assert_eq!(applied.missing(), ["rpd", "pfed"]);
        applied.report("rpd", 2, true, "");
        applied.report("pfed", 2, true, "");
        assert!(applied.missing().is_empty() && applied.refusal().is_none());
    }
}
