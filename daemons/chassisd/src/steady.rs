//! Whether nothing has moved since the last run: then there is nothing left of it that would have to be waited for, and the
//! minimum spacing is waived.
//!
//! Strictly from evidence, all of it: the last run ended with nothing lost, in this life of chassisd; no alarm and no missed
//! answer of a process since; every session that was up then is up still, the same one, and no other has come; every
//! table that pfed wants in the kernel is there, without an error. What cannot be found out is not proven.

use std::collections::BTreeMap;
use std::future::Future;

use holdfast_issu::Daemon;
use holdfast_proto::v1;

use crate::calls::{Link, answer};
use crate::chassis::Chassis;
use crate::limits::EVIDENCE_CALL_DEADLINE;

/// What happened at rest since the last run.
#[derive(Clone, Debug)]
pub struct SinceRun {
    /// How it ended.
    pub report: v1::RunReport,
    /// Raised since.
    pub alarms: u32,
    /// Answers that the watchdog has missed since.
    pub misses: u32,
}

impl SinceRun {
    /// The report, if nothing that chassisd itself has seen speaks against it.
    fn undisturbed(self) -> Result<v1::RunReport, String> {
        let report = self.report;
        match (report.success, self.alarms, self.misses) {
            (false, ..) => Err(format!("run {} ended: {}", report.run_id, report.verdict)),
            (true, 1.., _) => Err(format!("{} alarms since run {}", self.alarms, report.run_id)),
            (true, 0, 1..) => {
                Err(format!("{} answers of processes were missed since run {}", self.misses, report.run_id))
            }
            (true, 0, 0) => Ok(report),
        }
    }
}

impl Chassis {
    /// Proven, and by what; or what stands against it.
    pub fn steadiness(&self) -> impl Future<Output = Result<String, String>> + Send + 'static {
        let since = self.since_run.clone();
        let link = |daemon| self.process(self.master, daemon).map(|process| process.link.clone());
        let (rpd, pfed) = (link(Daemon::Rpd), link(Daemon::Pfed));
        async move {
            let report = since.ok_or("chassisd was started since the last run")?.undisturbed()?;
            let sessions = sessions_unmoved(&report, &neighbors(rpd).await?)?;
            let routes = table_in_force(&forwarding(pfed).await?)?;
            let run_id = report.run_id;
            Ok(format!(
                "run {run_id} lost nothing; since then no alarm, {sessions} sessions unbroken, {routes} routes in force"
            ))
        }
    }
}

async fn neighbors(rpd: Option<Link>) -> Result<Vec<v1::BgpNeighborDetail>, String> {
    let mut client = rpd.ok_or("rpd does not run")?.routing();
    let request = v1::ShowBgpNeighborsRequest::default();
    let reply = answer(EVIDENCE_CALL_DEADLINE, client.show_bgp_neighbors(request)).await?;
    Ok(reply.neighbors)
}

async fn forwarding(pfed: Option<Link>) -> Result<v1::ForwardingSummary, String> {
    let mut client = pfed.ok_or("pfed does not run")?.forwarding();
    answer(EVIDENCE_CALL_DEADLINE, client.show_forwarding_summary(v1::ShowForwardingSummaryRequest {})).await
}

/// How many sessions are the very ones of the report.
fn sessions_unmoved(report: &v1::RunReport, now: &[v1::BgpNeighborDetail]) -> Result<usize, String> {
    let mut then: BTreeMap<&str, (&str, u64)> = report
        .sessions
        .iter()
        .map(|session| (session.neighbor.as_str(), (session.state_after.as_str(), session.established_after_unix_ms)))
        .collect();
    let mut unbroken = 0;
    for neighbor in now {
        let Some(summary) = &neighbor.summary else { continue };
        let (address, state) = (summary.address.as_str(), summary.state.as_str());
        let is_up = state == "Established";
        match then.remove(address) {
            Some(("Established", since)) if is_up && since == neighbor.established_unix_ms => unbroken += 1,
            Some((earlier, _)) if earlier != "Established" && !is_up => {}
            _ => {
                return Err(format!(
                    "the session with {address} is not the one that it was at the end of run {}",
                    report.run_id
                ));
            }
        }
    }
    match then.into_keys().next() {
        Some(address) => Err(format!("neighbor {address} is gone since run {}", report.run_id)),
        None => Ok(unbroken),
    }
}

/// How many routes are in the kernel as they are wanted.
fn table_in_force(summary: &v1::ForwardingSummary) -> Result<u64, String> {
    if summary.pending_writes > 0 || summary.errors > 0 || summary.kernel != summary.desired {
        return Err(format!("{} routes wait for the kernel, {} were refused", summary.pending_writes, summary.errors));
    }
    Ok(summary.routes_ipv4 + summary.routes_ipv6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(neighbor: &str, state: &str, since: u64) -> v1::SessionReport {
        v1::SessionReport {
            neighbor: neighbor.into(),
            state_after: state.into(),
            established_after_unix_ms: since,
            ..v1::SessionReport::default()
        }
    }

    fn neighbor(address: &str, state: &str, since: u64) -> v1::BgpNeighborDetail {
        let summary = v1::BgpNeighborSummary { address: address.into(), state: state.into(), ..Default::default() };
        v1::BgpNeighborDetail { summary: Some(summary), established_unix_ms: since, ..Default::default() }
    }

    #[test]
    fn only_the_very_same_sessions_are_steady() {
        let sessions = vec![session("10.0.0.2", "Established", 7), session("10.0.0.3", "Active", 0)];
        let report = v1::RunReport { run_id: 4, sessions, ..Default::default() };
        let (up, down) = (neighbor("10.0.0.2", "Established", 7), neighbor("10.0.0.3", "Connect", 0));
        assert_eq!(sessions_unmoved(&report, &[up.clone(), down.clone()]), Ok(1));
        let moved = |now: &[v1::BgpNeighborDetail]| sessions_unmoved(&report, now).unwrap_err();
        assert!(moved(&[neighbor("10.0.0.2", "Established", 8), down.clone()]).contains("10.0.0.2"), "it came up anew");
        assert!(moved(&[neighbor("10.0.0.2", "Idle", 0), down.clone()]).contains("10.0.0.2"), "it is down");
        assert!(moved(&[up.clone(), neighbor("10.0.0.3", "Established", 9)]).contains("10.0.0.3"), "it came up");
        assert!(moved(&[up.clone(), down, neighbor("10.0.0.4", "Idle", 0)]).contains("10.0.0.4"), "a new one");
        assert!(moved(&[up]).contains("10.0.0.3 is gone"));
    }

    #[test]
    fn anything_at_all_since_the_run_speaks_against_it() {
        let since = |success, alarms, misses| {
            let verdict = if success { "nothing lost" } else { "undone, nothing lost" };
            let report = v1::RunReport { run_id: 4, success, verdict: verdict.into(), ..Default::default() };
            SinceRun { report, alarms, misses }.undisturbed().map(|report| report.run_id)
        };
        assert_eq!(since(true, 0, 0), Ok(4));
        assert!(since(false, 0, 0).unwrap_err().contains("undone"));
        assert!(since(true, 1, 0).unwrap_err().contains("1 alarms"));
        assert!(since(true, 0, 2).unwrap_err().contains("2 answers"));
    }

    #[test]
    fn the_kernel_must_have_exactly_what_is_wanted() {
        let tables = |digest| vec![v1::TableDigest { table: "kernel/inet".into(), digest, entries: 3 }];
        let summary = |kernel, desired, pending_writes, errors| v1::ForwardingSummary {
            routes_ipv4: 3,
            kernel: tables(kernel),
            desired: tables(desired),
            pending_writes,
            errors,
            ..Default::default()
        };
        assert_eq!(table_in_force(&summary(1, 1, 0, 0)), Ok(3));
        for wrong in [summary(1, 2, 0, 0), summary(1, 1, 1, 0), summary(1, 1, 0, 1)] {
            assert!(table_in_force(&wrong).is_err());
        }
    }
}
