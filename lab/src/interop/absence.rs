//! Neighbours that are sent away, or die, and come back.

use super::{
    expect::Absence,
    offer::Offer,
    run::{Run, complaint, possible},
    session_steps::wait_until_up,
};
use crate::{error::Result, host::interrupt, limits};

/// What is announced beside the script's routes, so that they are too many: numbers from here on.
const TOO_MANY: std::ops::Range<u8> = 60..70;

impl Run<'_> {
    /// Whether the neighbour of an index belongs to this half.
    fn is_of(index: usize, half: u8) -> bool {
        index % 2 == usize::from(half)
    }

    /// Half of the neighbours announce more than they may, until their sessions have ended; each has to say why.
    pub(super) fn exceed(&mut self, half: u8) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        for (index, plan) in self.place.plans.iter().enumerate().filter(|(index, _)| Self::is_of(*index, half)) {
            let (peer, name) = (&mut self.peers[index], plan.maker.name());
            let before = peer.times_limited()?;
            let more = TOO_MANY.map(|number| Offer { number, title: "too many", ..Offer::default() });
            peer.offer(&self.offers[index].iter().cloned().chain(more).collect::<Vec<_>>())?;
            let wanted = plan.sessions.len() as u64;
            let told = interrupt::wait_for(&format!("{name} to be told of its limit"), limits::SEEN_WITHIN, || {
                let told = peer.times_limited()? - before;
                if told == wanted { Ok(()) } else { Err(format!("{told} sessions instead of {wanted}").into()) }
            });
            complaints.extend(complaint(told)?);
            self.absent[index] = Some(Absence::Resting);
        }
        Ok(complaints)
    }

    /// Half of the neighbours die.
    pub(super) fn die(&mut self, half: u8) -> Result<()> {
        for index in (0..self.peers.len()).filter(|index| Self::is_of(*index, half)) {
            self.peers[index].die();
            self.absent[index] = Some(Absence::Dead);
        }
        Ok(())
    }

    /// Everybody is there again.
    pub(super) fn bring_back(&mut self) -> Result<()> {
        let chapter = self.scenario.topic.chapter();
        for index in 0..self.peers.len() {
            let (plan, peer) = (&self.place.plans[index], &mut self.peers[index]);
            let absence = self.absent[index].take();
            if absence.is_some() {
                self.offers[index] = possible(plan.maker, chapter.offers(plan, self.changed));
            }
            match absence {
                None => {}
                Some(Absence::Dead) => peer.come_back(&self.offers[index])?,
                Some(Absence::Resting) => {
                    peer.offer(&self.offers[index])?;
                    for session in &plan.sessions {
                        self.router.cli().text(&format!("clear bgp neighbor {}", session.local))?;
                    }
                }
            }
            for session in plan.sessions.iter().filter(|_| absence.is_some()) {
                wait_until_up(peer.as_mut(), plan, session)?;
            }
        }
        Ok(())
    }
}
