//! What the captures must show of a session's features, whatever the tools of either side say: signatures and distances of every
//! segment with data, capabilities in every OPEN, lengths, who called.

use super::{
    features::Feature,
    offer::Family,
    peer::{Peer, PeerPlan, Session},
};
use crate::{
    capture::analysis::{Said, Wire, WireReport},
    error::Result,
};

/// Capability codes (IANA).
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const ENHANCED_REFRESH: u8 = 70;
/// In the first octet of graceful restart's: also over NOTIFICATIONs (RFC 8538 §2).
const N_BIT: u8 = 0x40;
/// RFC 4271 §4.1.
const USUAL_BYTES_MAX: u16 = 4096;
/// The parameter of an OPEN that holds capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// Of an OPEN's body: version, AS, hold time, identifier, length of what follows.
const FIXED_BYTES: usize = 10;

/// What is not as it has to be on a neighbour's link.
pub fn wrong(wire: &Wire, plan: &PeerPlan) -> Vec<String> {
    let sides = [(false, plan.maker.name()), (true, "the router")];
    sides.into_iter().flat_map(|(router, name)| wrong_of(wire, plan, router, name)).collect()
}

fn wrong_of(wire: &Wire, plan: &PeerPlan, router: bool, name: &str) -> Vec<String> {
    let side = wire.side(router);
    let opens: Vec<Open<'_>> = wire.opens(router).map(Open::read).collect();
    let mut out = Vec::new();
    let mut require = |so: bool, what: String| {
        if !so {
            out.push(format!("{name}: {what}"));
        }
    };
    require(!opens.is_empty(), "no OPEN was captured".into());
    let hold_time = |open: &Open<'_>| open.hold_time_s == plan.hold_time_s;
    require(opens.iter().all(hold_time), format!("an OPEN without hold time {}", plan.hold_time_s));
    let everywhere = |code: u8| opens.iter().all(|open| open.capability(code).is_some());
    for feature in &plan.features {
        let without = |what: &str| format!("an OPEN without {what}");
        match feature {
            Feature::Key => require(side.unsigned == 0, format!("{} segments with data, not signed", side.unsigned)),
            Feature::Near => require(side.ttl_least == u8::MAX, format!("a segment of TTL {}", side.ttl_least)),
            Feature::Passive | Feature::Allowed => require(!router || side.calls == 0, "it called".into()),
            Feature::Roles => require(everywhere(ROLE), without("a role")),
            // In its IPv4 session at least.
            Feature::ExtendedNextHop => {
                let somewhere = opens.iter().any(|open| open.capability(EXTENDED_NEXT_HOP).is_some());
                require(somewhere, without("extended next hop"));
            }
            Feature::EnhancedRefresh => require(everywhere(ENHANCED_REFRESH), without("enhanced refresh")),
            Feature::ExtendedMessages => {
                require(everywhere(EXTENDED_MESSAGE), without("extended messages"));
                let longest = wire.longest_bytes(router);
                require(longest > USUAL_BYTES_MAX, format!("its longest message has {longest} octets"));
            }
            Feature::GracefulRestart => {
                let flags =
                    |open: &Open<'_>| open.capability(GRACEFUL_RESTART).and_then(|value| value.first().copied());
                require(everywhere(GRACEFUL_RESTART), without("graceful restart"));
                let says_n = router || plan.maker.restarts_over_notifications();
                let n_bit = opens.iter().all(|open| flags(open).is_some_and(|flags| flags & N_BIT != 0));
                require(n_bit || !says_n, without("the N bit"));
            }
            Feature::LocalAs => {}
        }
    }
    out
}

/// An OPEN's body, read as far as that is needed here (RFC 4271 §4.2).
struct Open<'a> {
    hold_time_s: u16,
    capabilities: Vec<(u8, &'a [u8])>,
}

impl<'a> Open<'a> {
    fn read(body: &'a [u8]) -> Self {
        let hold_time_s = match body {
            [_, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        let parameters = triples(body.get(FIXED_BYTES..).unwrap_or_default());
        let capabilities =
            parameters.into_iter().filter(|(kind, _)| *kind == CAPABILITIES).flat_map(|(_, v)| triples(v));
        Self { hold_time_s, capabilities: capabilities.collect() }
    }

    fn capability(&self, code: u8) -> Option<&'a [u8]> {
        self.capabilities.iter().find(|(found, _)| *found == code).map(|(_, value)| *value)
    }
}

/// A code, a length, a value, and again.
fn triples(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut out = Vec::new();
    while let [code, length, rest @ ..] = bytes {
        let Some((value, after)) = rest.split_at_checked(usize::from(*length)) else { break };
        out.push((*code, value));
        bytes = after;
    }
    out
}

/// What a neighbour's own view of a session does not show, though the session has it.
pub fn not_shown(peer: &dyn Peer, plan: &PeerPlan, session: &Session) -> Result<Vec<String>> {
    if plan.features.is_empty() {
        return Ok(Vec::new());
    }
    let view = peer.view(session)?;
    let hold_time = plan.maker.shows_hold_time(plan.hold_time_s);
    let other_hold_time = (!view.contains(&hold_time)).then(|| format!("does not show {hold_time:?}"));
    let shows = |feature: Feature| plan.maker.shows(feature).iter().map(move |word| (feature, *word));
    // Of a session with IPv6 routes nobody says it.
    let has = |feature: &Feature| *feature != Feature::ExtendedNextHop || session.family == Family::Inet;
    let missing = plan.features.iter().copied().filter(has).flat_map(shows).filter(|(_, word)| !view.contains(word));
    let (name, router) = (plan.maker.name(), session.router);
    let missing = missing.map(|(feature, word)| format!("does not show {feature:?}: {word:?}"));
    Ok(missing.chain(other_hold_time).map(|what| format!("{name} {what} in its session with {router}")).collect())
}

/// Whether all that comes again is marked (RFC 7313).
pub fn not_marked(plan: &PeerPlan, report: &WireReport) -> Option<String> {
    let marks = |said: Said| said.refresh_begins.min(said.refresh_ends);
    let lacks = |asked: bool, said: Said| asked && marks(said) < plan.sessions.len() as u64;
    let (asks, answers) = (plan.maker.cannot_ask().is_none(), plan.maker.cannot_answer().is_none());
    let lacking = plan.has(Feature::EnhancedRefresh) && (lacks(asks, report.router) || lacks(answers, report.neighbor));
    lacking.then(|| format!("{}: routes came again without marks", plan.maker.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_is_read_and_a_torn_one_does_no_harm() {
        let body = [4, 0xfd, 0xe8, 0, 9, 10, 0, 0, 1, 14, 2, 6, ROLE, 1, 3, 70, 0, 1, 2, 4, 64, 2, 0x40, 60];
        let open = Open::read(&body);
        assert_eq!((open.hold_time_s, open.capability(ROLE), open.capability(70)), (9, Some(&[3][..]), Some(&[][..])));
        assert_eq!(
            (open.capability(GRACEFUL_RESTART), open.capability(EXTENDED_MESSAGE)),
            (Some(&[0x40, 60][..]), None)
        );
        (0..body.len()).for_each(|end| drop(Open::read(&body[..end])));
    }
}
