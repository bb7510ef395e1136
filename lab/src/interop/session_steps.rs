//! Steps that end sessions, or change what they are made of: done at both ends, awaited at both.

use super::{
    features::{Feature, KEYS},
    peer::{ESTABLISHED, Peer, PeerPlan, Session},
};
use crate::{
    error::Result,
    host::interrupt,
    limits,
    subject::cli::{self, Cli},
};

/// The router and its neighbours.
pub struct Parties<'a> {
    /// The router's command line.
    pub router: &'a Cli,
    /// The neighbours ...
    pub peers: &'a mut [Box<dyn Peer>],
    /// ... and what they were told.
    pub plans: &'a [PeerPlan],
}

/// What operators write to each other (RFC 9003).
const FROM_ROUTER: &str = "router: new optics";
const TO_ROUTER: &str = "neighbour: back at six";

impl Parties<'_> {
    /// The router ends every session, and they come back: by whoever is primary now, with sockets of its own.
    pub fn begin_anew(&mut self) -> Result<()> {
        let downs = self.peers.iter().map(|peer| peer.times_down()).collect::<Result<Vec<_>>>()?;
        self.router.text("clear bgp neighbor all")?;
        for ((peer, plan), before) in self.peers.iter_mut().zip(self.plans).zip(downs) {
            wait_for_downs(peer.as_ref(), plan, before + plan.sessions.len() as u64)?;
            plan.sessions.iter().try_for_each(|session| wait_until_up(peer.as_mut(), plan, session))?;
        }
        Ok(())
    }

    /// Another key, the router's first: TCP repeats what the other end does not take meanwhile.
    pub fn change_keys(&mut self) -> Result<()> {
        let key = KEYS[1];
        let with_key = |plan: &&PeerPlan| plan.has(Feature::Key) && plan.maker.takes_another_key();
        let lines = self.plans.iter().filter(with_key).flat_map(|plan| {
            plan.sessions.iter().map(move |session| {
                let group = format!("{}-{}", plan.maker.name(), session.family.pick("inet", "inet6"));
                format!("set protocols bgp group {group} authentication-key {key}; ")
            })
        });
        self.router.text(&format!("configure; {}commit", lines.collect::<String>()))?;
        for (peer, _) in self.peers.iter_mut().zip(self.plans).filter(|(_, plan)| with_key(plan)) {
            peer.set_key(key)?;
        }
        for (peer, plan) in self.peers.iter_mut().zip(self.plans) {
            // Some end their sessions for it, and not at once.
            if plan.maker.ends_sessions_for_a_key() {
                wait_for_downs(peer.as_ref(), plan, plan.sessions.len() as u64)?;
            }
            plan.sessions.iter().try_for_each(|session| wait_until_up(peer.as_mut(), plan, session))?;
        }
        Ok(())
    }

    /// Each side that can ends each session with words for the other's operator.
    pub fn exchange_words(&mut self) -> Result<()> {
        for (peer, plan) in self.peers.iter_mut().zip(self.plans) {
            for session in &plan.sessions {
                if plan.maker.hears_words() {
                    say_to_neighbor(self.router, peer.as_mut(), plan, session)?;
                }
                if plan.maker.says_words() {
                    hear_from_neighbor(self.router, peer.as_mut(), plan, session)?;
                }
            }
        }
        Ok(())
    }
}

fn say_to_neighbor(router: &Cli, peer: &mut dyn Peer, plan: &PeerPlan, session: &Session) -> Result<()> {
    let (downs, heard) = (peer.times_down()?, peer.log()?.matches(FROM_ROUTER).count());
    router.text(&format!("clear bgp neighbor {} message \"{FROM_ROUTER}\"", session.local))?;
    wait_for_downs(peer, plan, downs + 1)?;
    let title = format!("{} to log what the router said to it", plan.maker.name());
    interrupt::wait_for(&title, limits::SEEN_WITHIN, || {
        if peer.log()?.matches(FROM_ROUTER).count() > heard { Ok(()) } else { Err("it is not there".into()) }
    })?;
    wait_until_up(peer, plan, session)
}

fn hear_from_neighbor(router: &Cli, peer: &mut dyn Peer, plan: &PeerPlan, session: &Session) -> Result<()> {
    peer.shut_down(session, TO_ROUTER)?;
    let title = format!("the router to know what {} said to it", plan.maker.name());
    interrupt::wait_for(&title, limits::SEEN_WITHIN, || {
        let answer = router.json(&format!("show bgp neighbor {}", session.local))?;
        let said = answer.pointer("/neighbors/0/last_notification_received");
        let text = said.and_then(|said| cli::find(said, "message")?.as_str()).unwrap_or_default();
        let name = said.and_then(|said| cli::find(said, "name")?.as_str()).unwrap_or_default();
        if text == TO_ROUTER && name.contains("Administrative Shutdown") {
            Ok(())
        } else {
            Err(format!("{said:?}").into())
        }
    })?;
    peer.open_again(session)?;
    wait_until_up(peer, plan, session)
}

fn wait_for_downs(peer: &dyn Peer, plan: &PeerPlan, wanted: u64) -> Result<()> {
    interrupt::wait_for(&format!("{} to see its sessions end", plan.maker.name()), limits::SEEN_WITHIN, || {
        let downs = peer.times_down()?;
        if downs >= wanted { Ok(()) } else { Err(format!("{downs} of {wanted} have").into()) }
    })
}

/// Waits until a session is up, by the neighbour's own tools.
pub fn wait_until_up(peer: &mut dyn Peer, plan: &PeerPlan, session: &Session) -> Result<()> {
    let title = format!("the session of {} with {}", plan.maker.name(), session.router);
    interrupt::wait_for(&title, limits::SESSIONS_UP_WITHIN, || {
        peer.check_running()?;
        let state = peer.state(session)?;
        if state == ESTABLISHED { Ok(()) } else { Err(format!("state {state}").into()) }
    })
}
