//! Scenarios of lost gateways as data.

use serde::Serialize;

use super::judge::Limit;
use crate::{family::Family, limits};

/// BFD: packets that may be missing in a row.
pub const MULTIPLIER: u32 = 3;

/// As many as the Internet has (2026).
const ROUTES_IPV6: usize = 250_000;

/// How the router uses the two paths of every route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paths {
    /// The primary's, which is shorter; the backup's is known.
    Best,
    /// Both together: they are equal, and `multipath` is configured.
    Together,
}

/// How the primary gateway is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The other end of the router's link goes down: the router's loses its carrier.
    Carrier,
    /// Nothing comes from it any more, and the router's link stays as it is: BFD finds out.
    Silence,
    /// The router's own end is set down by its operator.
    AdminDown,
}

/// A stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is done: the lab loses nothing by itself.
    Rest,
    /// The primary gateway is lost.
    Lose(Loss),
    /// It comes back.
    Return(Loss),
    /// An in-service reboot, both gateways being there.
    Reboot,
}

/// What the router is held to. Where nothing is stated, times are not judged, and losses by a number that only a router which does nothing exceeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bars {
    /// Milliseconds from the link's loss until nothing is lost any more.
    pub link_ms: Option<f64>,
    /// The same from the end of BFD's detection time.
    pub beyond_detection_ms: Option<f64>,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GatewayLoss {
    /// Its name.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// Of the routes, the gateways and the probes.
    pub family: Family,
    /// Routes that both gateways tell.
    pub routes: usize,
    /// Probes per second.
    pub rate: u32,
    /// How often all losses are gone through.
    pub runs: u32,
    /// How the two paths are used.
    pub paths: Paths,
    /// How the primary gateway is lost, in order; after each it comes back. Then the router reboots in service, and the new engine meets the same.
    pub losses: Vec<Loss>,
    /// Milliseconds between BFD packets.
    pub bfd_ms: u32,
    /// What the router is held to.
    pub bars: Bars,
}

/// What they need, beside root.
pub const NEEDS: &str = "Debian packages iproute2, util-linux";

impl GatewayLoss {
    /// The built-in ones.
    pub fn built_in() -> Vec<Self> {
        let of = |name, paths, shows| Self {
            name,
            shows,
            family: Family::Inet,
            routes: 1_000_000,
            rate: 10_000,
            runs: 1,
            paths,
            losses: vec![Loss::Carrier, Loss::Silence, Loss::AdminDown],
            bfd_ms: 50,
            bars: Bars { link_ms: Some(5.0), beyond_detection_ms: Some(5.0) },
        };
        vec![
            of(
                "gateway-loss",
                Paths::Best,
                "the gateway of 1,000,000 routes is lost, another path being known: by a lost carrier, without a word under BFD, and by our own operator; packets go the other way within 5 ms, and all come back without a loss; and so again after an in-service reboot",
            ),
            of(
                "gateway-loss-multipath",
                Paths::Together,
                "the same where the paths of both gateways are used together",
            ),
            Self {
                family: Family::Inet6,
                routes: ROUTES_IPV6,
                ..of(
                    "gateway-loss-ipv6",
                    Paths::Best,
                    "the same for IPv6: 250,000 routes, as many as the Internet has, by gateways with IPv6 addresses",
                )
            },
            Self {
                family: Family::Inet6,
                routes: ROUTES_IPV6,
                ..of(
                    "gateway-loss-multipath-ipv6",
                    Paths::Together,
                    "the same for IPv6 where the paths of both gateways are used together",
                )
            },
        ]
    }

    /// One by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::built_in().into_iter().find(|scenario| scenario.name == name)
    }

    /// BFD's detection time (RFC 5880 §6.8.4).
    pub fn detection_ms(&self) -> u32 {
        self.bfd_ms * MULTIPLIER
    }

    /// What is done, in order.
    pub fn steps(&self) -> Vec<Step> {
        let of = |loss: &Loss| [Step::Lose(*loss), Step::Return(*loss)];
        let round = || self.losses.iter().flat_map(of);
        let rounds = (1..self.runs.max(1)).flat_map(|_| round());
        std::iter::once(Step::Rest).chain(round()).chain(rounds).chain([Step::Reboot]).chain(round()).collect()
    }

    /// What may be lost in a step.
    pub fn limit(&self, step: Step) -> Limit {
        let Step::Lose(loss) = step else { return Limit { ms: Some(0.0), lost: 0 } };
        let (bar_ms, before_ms) = match loss {
            Loss::Carrier | Loss::AdminDown => (self.bars.link_ms, 0.0),
            Loss::Silence => (self.bars.beyond_detection_ms, f64::from(self.detection_ms())),
        };
        let ms = bar_ms.map(|bar_ms| before_ms + bar_ms);
        let for_ms = ms.unwrap_or(before_ms + limits::LOST_FOR_AT_MOST.as_secs_f64() * 1000.0);
        Limit { ms, lost: (f64::from(self.rate) * for_ms / 1000.0).ceil() as u64 }
    }

    /// What a step is called.
    pub fn title(&self, step: Step) -> String {
        match step {
            Step::Rest => "nothing is done".into(),
            Step::Lose(Loss::Carrier) => "the link to the gateway loses its carrier".into(),
            Step::Lose(Loss::Silence) => format!("the gateway is silent, BFD at {MULTIPLIER} x {} ms", self.bfd_ms),
            Step::Lose(Loss::AdminDown) => "our own end of the link is set down".into(),
            Step::Return(Loss::Carrier) => "the carrier is back".into(),
            Step::Return(Loss::Silence) => "the gateway answers again".into(),
            Step::Return(Loss::AdminDown) => "our own end is set up".into(),
            Step::Reboot => "in-service reboot".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_bars_the_rate_and_the_detection_time() {
        let scenario = GatewayLoss::find("gateway-loss").unwrap();
        assert_eq!(scenario.limit(Step::Lose(Loss::Carrier)), Limit { ms: Some(5.0), lost: 50 });
        assert_eq!(scenario.limit(Step::Lose(Loss::AdminDown)), Limit { ms: Some(5.0), lost: 50 });
        assert_eq!(scenario.limit(Step::Lose(Loss::Silence)), Limit { ms: Some(155.0), lost: 1_550 });
        for step in [Step::Rest, Step::Return(Loss::Silence), Step::Reboot] {
            assert_eq!(scenario.limit(step).lost, 0, "{step:?}");
        }
        let untimed = GatewayLoss { bars: Bars::default(), rate: 1_000, ..scenario };
        assert_eq!(untimed.limit(Step::Lose(Loss::Carrier)), Limit { ms: None, lost: 1_000 });
        assert_eq!(untimed.limit(Step::Lose(Loss::Silence)), Limit { ms: None, lost: 1_150 });
        assert_eq!(
            untimed.limit(Step::Return(Loss::Carrier)).lost,
            0,
            "what comes back loses nothing, however busy the machine"
        );
    }

    #[test]
    fn after_every_loss_the_gateway_comes_back_and_the_new_engine_meets_them_all() {
        for scenario in GatewayLoss::built_in() {
            let steps = GatewayLoss { runs: 2, ..scenario.clone() }.steps();
            let each = 2 * scenario.losses.len();
            assert_eq!((steps.len(), steps[1 + 2 * each]), (2 + 3 * each, Step::Reboot));
            for pair in steps[1..=2 * each].chunks(2).chain(steps[2 + 2 * each..].chunks(2)) {
                assert!(matches!(pair, [Step::Lose(a), Step::Return(b)] if a == b), "{pair:?}");
            }
        }
    }
}
