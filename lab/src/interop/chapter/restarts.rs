//! Neighbours that die without a word and come back: the router keeps their routes meanwhile (RFC 4724 §4.2), and longer than their
//! restart time where both know how (RFC 9494).

use super::{Chapter, Hop};
use crate::interop::{
    offer::LLGR_STALE,
    peer::{Graceful, Maker, Wishes},
    seen::Seen,
};

/// Longer than the script needs, s.
const RESTART_TIME_S: u16 = 100;
/// Shorter than a dead neighbour stays away, s.
const RESTART_TIME_SHORT_S: u16 = 2;
/// Longer than the script needs, s.
const STALE_TIME_S: u32 = 600;

/// See the module. `long`: neighbours stay away for longer than their restart time.
pub struct Restarts {
    /// See above.
    pub long: bool,
}

impl Chapter for Restarts {
    fn options(&self) -> &'static str {
        "    graceful-restart;\n"
    }

    fn protocol(&self) -> &'static str {
        if self.long { "graceful-restart { long-lived { stale-time 600; } }\n" } else { "" }
    }

    fn wishes(&self) -> Wishes {
        let graceful = Graceful {
            restart_time_s: if self.long { RESTART_TIME_SHORT_S } else { RESTART_TIME_S },
            stale_time_s: self.long.then_some(STALE_TIME_S),
        };
        Wishes { graceful: Some(graceful), ..Wishes::default() }
    }

    fn told_of_absent(&self, hop: &Hop<'_>, told: Option<Seen>) -> Option<Seen> {
        if !self.long {
            return told;
        }
        // ExaBGP knows nothing of it: neither are its routes kept, nor is it told what others are (RFC 9494 §4.3).
        let knows = |maker| maker != Maker::Exabgp;
        let mut seen = told.filter(|_| knows(hop.from.maker) && knows(hop.to.maker))?;
        seen.communities.push(LLGR_STALE);
        Some(seen)
    }
}
