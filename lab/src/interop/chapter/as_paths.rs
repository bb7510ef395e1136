//! What becomes of AS paths on their way out: private numbers that others must not see (RFC 6996), sites of one AS that see each
//! other through us.

use super::{Chapter, Hop};
use crate::interop::{
    expect::path_learned,
    offer::{self, Offer},
    peer::{Maker, PeerPlan, Session},
    router,
    seen::Seen,
};

/// Not a private number: that of BIRD's and ExaBGP's AS, which are sites of one.
const SITES_AS: u32 = 64_499;

/// See the module. `turned`: the rules are everybody's next neighbour's.
pub struct AsPaths {
    /// See above.
    pub turned: bool,
}

/// What is done for a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    RemoveLeading,
    RemoveAll,
    ReplaceAll,
    Override,
}

impl AsPaths {
    fn rule(&self, neighbor: &PeerPlan) -> Rule {
        let rules = [Rule::RemoveLeading, Rule::Override, Rule::ReplaceAll, Rule::RemoveAll];
        let turned = [Rule::ReplaceAll, Rule::RemoveAll, Rule::RemoveLeading, Rule::Override];
        (if self.turned { turned } else { rules })[neighbor.maker as usize]
    }
}

fn is_private(number: u32) -> bool {
    (64_512..=65_534).contains(&number) || (4_200_000_000..=4_294_967_294).contains(&number)
}

impl Rule {
    /// What is left of a path, in words: a number, or a set in braces.
    fn apply(self, words: Vec<String>, neighbor: u32) -> Vec<String> {
        let ours = router::AUTONOMOUS_SYSTEM;
        let mut begins = true;
        let mut edit = |word: &str| -> Option<String> {
            let number: u32 = word.parse().ok()?;
            begins &= is_private(number);
            match self {
                Self::Override => Some(if number == neighbor { ours } else { number }),
                _ if !is_private(number) || number == neighbor => Some(number),
                Self::RemoveLeading if !begins => Some(number),
                Self::ReplaceAll => Some(ours),
                Self::RemoveLeading | Self::RemoveAll => None,
            }
            .map(|number| number.to_string())
        };
        let mut out = Vec::new();
        for word in words {
            match word.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')) {
                None => out.extend(edit(&word)),
                Some(inside) => {
                    let mut left: Vec<String> = inside.split(' ').filter_map(&mut edit).collect();
                    left.dedup();
                    out.extend((!left.is_empty()).then(|| format!("{{{}}}", left.join(" "))));
                }
            }
        }
        out
    }
}

impl Chapter for AsPaths {
    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        match self.rule(neighbor) {
            Rule::RemoveLeading => "remove-private;",
            Rule::RemoveAll => "remove-private { all; }",
            Rule::ReplaceAll => "remove-private { all; replace; }",
            Rule::Override => "as-override;",
        }
        .into()
    }

    fn autonomous_system(&self, maker: Maker, usual: u32) -> u32 {
        if matches!(maker, Maker::Bird | Maker::Exabgp) { SITES_AS } else { usual }
    }

    fn offers(&self, _neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        let offer =
            |number, path: &[u32]| Offer { number, title: "private numbers", path: path.to_vec(), ..Offer::default() };
        offers.extend([
            offer(50, &[64_512, 64_496, 64_513]),
            offer(51, &[64_496, 4_200_000_001, 64_497]),
            offer(52, &[65_535, 64_511, 4_294_967_294]),
            offer(53, &[4_294_967_294, 64_512]),
        ]);
        offers
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let neighbor = hop.to.autonomous_system;
        let mut words = vec![router::AUTONOMOUS_SYSTEM.to_string()];
        words.extend(self.rule(hop.to).apply(path_learned(hop.from, hop.offer), neighbor));
        // It is a loop to the neighbour, which shows nothing of it.
        let is_loop = words.contains(&neighbor.to_string()) && !hop.to.maker.shows_loops();
        plain.filter(|_| !is_loop).map(|seen| Seen { path: words.join(" "), ..seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_paths() {
        let path = || ["64512", "7", "64513", "{8 64514}", "{64515}"].map(str::to_owned).to_vec();
        let after = |rule: Rule| rule.apply(path(), 64_513).join(" ");
        assert_eq!(after(Rule::RemoveLeading), "7 64513 {8 64514} {64515}");
        assert_eq!(after(Rule::RemoveAll), "7 64513 {8}");
        assert_eq!(after(Rule::ReplaceAll), "65000 7 64513 {8 65000} {65000}");
        assert_eq!(after(Rule::Override), "64512 7 65000 {8 64514} {64515}");
    }
}
