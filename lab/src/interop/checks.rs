//! What is looked at beside the neighbours' tables.

use super::{
    chapter::KernelRoute,
    peer::{ESTABLISHED, Peer, PeerPlan},
    run::complaint,
    seen::{self, Seen, Table},
};
use crate::{
    error::Result,
    host::{interrupt, netns::Namespace},
    limits,
};

/// Paths that are the same as before, but have another identifier, or came anew: nobody announced them anew.
pub fn told_anew(who: &[String], before: &[Table], after: &[Table]) -> Vec<String> {
    let mut complaints = Vec::new();
    for ((who, before), after) in who.iter().zip(before).zip(after) {
        // What a neighbour changes comes and goes during a reboot, and so does what it changes in other paths to the same.
        let moved = |(key, seen): &(&String, &Seen)| {
            let same = |(other, as_before): (&String, &Seen)| {
                seen::prefix_of(other) == seen::prefix_of(key) && as_before == *seen
            };
            !after.keys().any(|other| seen::is_same_telling(other, key)) && after.iter().any(same)
        };
        let told = |(key, _): (&String, &Seen)| format!("{key} was told to {who} anew by the reboot");
        complaints.extend(before.iter().filter(moved).map(told));
    }
    complaints
}

/// A route with the nexthop object that it refers to, and that one's members.
fn shown(router: &Namespace, version: &str, prefix: &str) -> Result<String> {
    let mut shown = router.ip(&format!("{version} route show {prefix}"))?;
    let word_after = |text: &str, word: &str| {
        let mut words = text.split_whitespace().skip_while(|other| *other != word).skip(1);
        words.next().map(str::to_owned)
    };
    if let Some(id) = word_after(&shown, "nhid").filter(|_| !shown.contains("via ")) {
        let object = router.ip(&format!("nexthop get id {id}"))?;
        for member in word_after(&object, "group").iter().flat_map(|members| members.split('/')) {
            let id = member.split(',').next().unwrap_or(member);
            shown += &router.ip(&format!("nexthop get id {id}"))?;
        }
        shown += &object;
    }
    Ok(shown)
}

/// What the kernel has of these routes, if it does not come to have what it must.
pub fn kernel(router: &Namespace, routes: &[KernelRoute]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for route in routes {
        let version = if route.prefix.contains(':') { "-6" } else { "-4" };
        let has = interrupt::wait_for(&format!("the kernel's route to {}", route.prefix), limits::SEEN_WITHIN, || {
            let shown = shown(router, version, &route.prefix)?;
            let vias = shown.matches("via ").count();
            let wanted = route.words.iter().filter(|word| word.starts_with("via ")).count();
            let good = vias == wanted && route.words.iter().all(|word| shown.contains(word.as_str()));
            if good { Ok(()) } else { Err(format!("{shown:?} instead of {:?}", route.words).into()) }
        });
        complaints.extend(complaint(has)?);
    }
    Ok(complaints)
}

/// Sessions of a neighbour that must be down.
pub fn is_let_in(peer: &dyn Peer, plan: &PeerPlan) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for session in &plan.sessions {
        if peer.state(session)? == ESTABLISHED {
            complaints.push(format!("{} was let in at {} though it rests", plan.maker.name(), session.router));
        }
    }
    Ok(complaints)
}
