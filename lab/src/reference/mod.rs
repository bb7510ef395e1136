//! A router that never rebooted, fed what ours was fed: what it tells its neighbours is what ours has to have told them.
//!
//! The idea: every word that neighbours and router exchanged is in the captures. After a scenario a second router is started
//! with the same configuration, in a place of its own with the same addresses; each of its neighbours is a `replay` that
//! sends the OPEN and every UPDATE that its model sent, and keeps what the router says. When nothing more comes, the tables
//! are compared with those that follow from the captured words of the first router: route by route, attribute by attribute,
//! in the lab's own codec ([`Told`]). Neither router is asked for its opinion.

mod replay;

use std::time::{Duration, Instant};

use serde::Serialize;

use self::replay::Replay;
use crate::{
    bench::{input::Session, setting::Setting},
    bgp::told::{Difference, Told},
    capture::analysis::Conversation,
    error::{LabError, Result},
    host::interrupt,
    limits,
    subject::{EngineRuntime, Holdfast, Subject, SubjectPlan},
    topology::{NeighborNode, Topology},
};

/// What one neighbour was told, beside what a router that never rebooted tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableResult {
    /// The neighbour's name in the lab.
    pub name: String,
    /// Routes that it was told, and not taken back.
    pub routes: usize,
    /// In what they differ.
    #[serde(flatten)]
    pub difference: Difference,
}

impl TableResult {
    /// What is wrong, if something is.
    pub fn complaint(&self) -> Option<String> {
        let Difference { missing, surplus, altered, examples, .. } = &self.difference;
        (self.difference.count() > 0 || self.routes == 0).then(|| {
            format!(
                "what {} was told differs from what a router that never rebooted tells it: of {} routes {missing} are missing, \
                 {surplus} should not be there, {altered} have other attributes ({})",
                self.name,
                self.routes,
                examples.join(", ")
            )
        })
    }
}

/// Feeds a second router, and compares.
pub fn compare(topology: &Topology, conversations: &[Conversation]) -> Result<Vec<TableResult>> {
    let first = conversations.iter().map(|c| Told::of(&c.router.updates)).collect::<Result<Vec<_>>>()?;
    let sessions: Vec<Session> = topology.neighbors.iter().map(session).collect();
    let mut setting = Setting::build("reference", &sessions)?;
    let outcome = second(topology, conversations, &sessions, &first, &setting);
    let gone = setting.remove();
    let second = outcome?;
    gone?;
    let compare = |((node, ours), reference): ((&NeighborNode, &Told), &Told)| TableResult {
        name: node.name.clone(),
        routes: ours.len(),
        difference: ours.difference(reference),
    };
    Ok(topology.neighbors.iter().zip(&first).zip(&second).map(compare).collect())
}

fn session(node: &NeighborNode) -> Session {
    let peer = node.peer();
    Session { address: peer.address, router: node.router().address, autonomous_system: peer.autonomous_system }
}

/// What the second router tells, once it is as much as the first one told, or nothing more comes.
fn second(
    topology: &Topology,
    conversations: &[Conversation],
    sessions: &[Session],
    first: &[Told],
    setting: &Setting,
) -> Result<Vec<Told>> {
    let plan = SubjectPlan {
        namespace: setting.router.clone(),
        folder: setting.folder(),
        topology: topology.clone(),
        environment: Vec::new(),
        runtime: EngineRuntime::Process,
        held: false,
    };
    let mut router = Holdfast::start(plan)?;
    let replays: Vec<Replay> = conversations
        .iter()
        .zip(sessions)
        .map(|(conversation, session)| Replay::start(&setting.world, *session, &conversation.neighbor))
        .collect::<Result<_>>()?;
    let wanted: Vec<usize> = first.iter().map(Told::len).collect();
    wait_until_settled(&replays, &wanted)?;
    // None hears of the end of another one: what it was told by then counts.
    replays.iter().for_each(Replay::hear_no_more);
    let told = replays.iter().map(Replay::told).collect::<Result<Vec<_>>>()?;
    router.stop()?;
    Ok(told)
}

fn wait_until_settled(replays: &[Replay], wanted: &[usize]) -> Result<()> {
    let within = limits::CONVERGED_WITHIN
        + limits::CONVERGED_PER_100K.mul_f64(wanted.iter().copied().max().unwrap_or(0) as f64 / 100_000.0);
    let begun = Instant::now();
    interrupt::wait_for("the router that never rebooted to say all it has to say", within, || {
        for replay in replays {
            replay.check()?;
        }
        let quiet = replays.iter().map(Replay::quiet_for).min().unwrap_or(Duration::ZERO);
        let heard: Vec<usize> = replays.iter().map(Replay::routes).collect();
        // Less than wanted, for as long: then that is the difference.
        let patience = if heard == wanted { limits::QUIET } else { limits::QUIET_WITH_LESS };
        if replays.iter().all(Replay::has_sent_all) && quiet >= patience {
            return Ok(());
        }
        let seconds = begun.elapsed().as_secs();
        Err(LabError::Protocol(format!("{heard:?} of {wanted:?} routes heard after {seconds} s")).into())
    })
}
