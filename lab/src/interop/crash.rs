//! The router's routing process dies at rest, and restarts gracefully (RFC 4724 §4.1).

use std::collections::BTreeSet;

use super::{
    peer::ESTABLISHED,
    run::{Run, complaint},
    seen::{self, Table},
};
use crate::{error::Result, host::interrupt, limits};

impl Run<'_> {
    /// Kills it. Until all sessions have ended and are back, who helps must have all that it had (RFC 4724 §4.2).
    pub(super) fn crash(&mut self) -> Result<Vec<String>> {
        let (downs, tables) = (self.downs()?, self.tables()?);
        self.router.kill("rpd")?;
        let mut gone = BTreeSet::new();
        let back = interrupt::wait_for("every session to end and to come back", limits::SESSIONS_UP_WITHIN, || {
            let mut waits_for = None;
            let mut before = tables.iter();
            for ((peer, plan), downs) in self.peers.iter().zip(&self.place.plans).zip(&downs) {
                for session in &plan.sessions {
                    if let Some(before) = before.next().filter(|_| plan.maker.helps_who_restarts()) {
                        let missing = missing(before, &peer.table(session)?);
                        gone.extend(missing.iter().map(|prefix| format!("{} gave {prefix} up", plan.maker.name())));
                    }
                    if peer.state(session)? != ESTABLISHED {
                        waits_for = Some(format!("the session of {} with {}", plan.maker.name(), session.router));
                    }
                }
                if peer.times_down()? < downs + plan.sessions.len() as u64 {
                    waits_for = Some(format!("{} to see its sessions end", plan.maker.name()));
                }
            }
            waits_for.map_or(Ok(()), |what| Err(what.into()))
        });
        Ok(complaint(back)?.into_iter().chain(gone).collect())
    }
}

/// Prefixes that were there.
fn missing(before: &Table, now: &Table) -> Vec<String> {
    let there: BTreeSet<&str> = now.keys().map(|key| seen::prefix_of(key)).collect();
    let prefixes: BTreeSet<&str> = before.keys().map(|key| seen::prefix_of(key)).collect();
    prefixes.difference(&there).map(|prefix| (*prefix).to_owned()).collect()
}
