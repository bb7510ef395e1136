//! Which daemons have taken the configuration into force.

use std::collections::BTreeMap;

/// The daemons of a slot that have to apply a configuration.
pub const DAEMONS: [&str; 2] = ["rpd", "pfed"];

/// A daemon's last word on a commit.
#[derive(Debug, Clone)]
struct Report {
    commit_id: u64,
    refusal: Option<String>,
}

/// The last word of each.
#[derive(Debug, Default)]
pub struct Applied {
    reports: BTreeMap<String, Report>,
}

impl Applied {
    /// Takes a report; an older one than known is dropped.
    pub fn report(&mut self, daemon: &str, commit_id: u64, ok: bool, message: &str) {
        if !DAEMONS.contains(&daemon) || self.reports.get(daemon).is_some_and(|known| known.commit_id > commit_id) {
            return;
        }
        let refusal = (!ok).then(|| message.to_owned());
        self.reports.insert(daemon.to_owned(), Report { commit_id, refusal });
    }

    /// Daemons that have not answered for a commit yet.
    pub fn missing(&self, commit_id: u64) -> Vec<&'static str> {
        let answered = |daemon: &&str| self.reports.get(*daemon).is_some_and(|report| report.commit_id == commit_id);
        DAEMONS.into_iter().filter(|daemon| !answered(daemon)).collect()
    }

    /// Why a commit cannot be applied, when a daemon has said so.
    pub fn refusal(&self, commit_id: u64) -> Option<String> {
        let mut reports = self.reports.iter().filter(|(_, report)| report.commit_id == commit_id);
        reports.find_map(|(daemon, report)| {
            report.refusal.as_ref().map(|refusal| format!("{daemon} cannot apply commit {commit_id}: {refusal}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_daemons_have_to_apply_the_newest_commit() {
        let mut applied = Applied::default();
        assert_eq!(applied.missing(2), ["rpd", "pfed"]);
        applied.report("rpd", 2, true, "");
        applied.report("pfed", 1, true, "");
        applied.report("stranger", 2, false, "no");
        assert_eq!(applied.missing(2), ["pfed"]);
        applied.report("pfed", 2, false, "eth9 does not exist");
        applied.report("pfed", 1, true, "");
        assert_eq!(applied.refusal(2).as_deref(), Some("pfed cannot apply commit 2: eth9 does not exist"));
        assert!(applied.missing(2).is_empty());
    }
}
