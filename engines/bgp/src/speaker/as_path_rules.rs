//! What becomes of AS paths on their way to an external neighbour, before policy: ours in front, others out of sight.

use holdfast_proto::v1::{BgpNeighborConfig, bgp_neighbor_config::RemovePrivate};
use smallvec::SmallVec;

use crate::wire::AsPath;

/// The rules that neighbours of one export group share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsPathRules {
    /// Put before the path, leftmost first: the AS we show, and behind it our own if that is another.
    shown: SmallVec<[u32; 2]>,
    /// Private numbers go.
    remove_private: Option<Removal>,
    /// Our AS stands in the place of this one, the neighbour's.
    overridden: Option<u32>,
}

/// How private AS numbers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Removal {
    /// All of them, not only those before the first other one.
    all: bool,
    /// Ours stands in their place.
    replace: bool,
    /// The neighbour's own stays, so that it finds its loops.
    keeps: u32,
}

/// RFC 6996 §5.
fn is_private(asn: u32) -> bool {
    matches!(asn, 64512..=65534 | 4_200_000_000..=4_294_967_294)
}

impl AsPathRules {
    /// As configured.
    pub fn of(config: &BgpNeighborConfig) -> Self {
        if config.internal {
            return Self::default();
        }
        let behind = (config.shown_as != 0 && config.shown_as != config.local_as).then_some(config.shown_as);
        let removal = |all| Some(Removal { all, replace: config.replace_private, keeps: config.peer_as });
        Self {
            shown: std::iter::once(config.local_as).chain(behind).collect(),
            remove_private: match config.remove_private() {
                RemovePrivate::No => None,
                RemovePrivate::Leading => removal(false),
                RemovePrivate::All => removal(true),
            },
            overridden: config.as_override.then_some(config.peer_as),
        }
    }

    /// Applies them.
    pub fn apply(&self, path: &mut AsPath) {
        // RFC 5065 §4: confederation segments do not leave the confederation.
        *path = std::mem::take(path).without_confederations();
        let ours = self.shown.first().copied().unwrap_or_default();
        if let Some(removal) = self.remove_private {
            let mut begins = true;
            path.edit(|asn| {
                begins &= is_private(asn);
                let goes = is_private(asn) && (begins || removal.all) && asn != removal.keeps;
                if goes { removal.replace.then_some(ours) } else { Some(asn) }
            });
        }
        if let Some(theirs) = self.overridden {
            path.edit(|asn| Some(if asn == theirs { ours } else { asn }));
        }
        for asn in self.shown.iter().rev() {
            path.prepend(*asn, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Segment, SegmentKind};

    fn config() -> BgpNeighborConfig {
        BgpNeighborConfig { local_as: 65000, peer_as: 65001, ..BgpNeighborConfig::default() }
    }

    fn applied(config: &BgpNeighborConfig, path: &[u32]) -> String {
        let mut path = AsPath::sequence(path);
        AsPathRules::of(config).apply(&mut path);
        path.to_string()
    }

    #[test]
    fn private_numbers() {
        let path = [64512, 65001, 4_200_000_000, 3356, 65534, 65535, 64511];
        let with = |how: RemovePrivate, replace_private| BgpNeighborConfig {
            remove_private: how.into(),
            replace_private,
            ..config()
        };
        assert_eq!(applied(&config(), &path), "65000 64512 65001 4200000000 3356 65534 65535 64511");
        assert_eq!(applied(&with(RemovePrivate::Leading, false), &path), "65000 65001 3356 65534 65535 64511");
        assert_eq!(applied(&with(RemovePrivate::All, false), &path), "65000 65001 3356 65535 64511");
        let replaced = applied(&with(RemovePrivate::All, true), &path);
        assert_eq!(replaced, "65000 65000 65001 65000 3356 65000 65535 64511");
        assert_eq!(applied(&with(RemovePrivate::Leading, false), &[64512]), "65000", "nothing is left of it");
    }

    #[test]
    fn sets_are_edited_too() {
        let set = |asns: &[u32]| Segment { kind: SegmentKind::Set, asns: asns.to_vec() };
        let mut path = AsPath { segments: vec![set(&[64512, 64513]), set(&[64514, 7])] };
        let config = BgpNeighborConfig { remove_private: RemovePrivate::All.into(), ..config() };
        AsPathRules::of(&config).apply(&mut path);
        assert_eq!(path.to_string(), "65000 {7}");
        let mut path = AsPath { segments: vec![set(&[64512, 7, 64513])] };
        AsPathRules::of(&BgpNeighborConfig { replace_private: true, ..config }).apply(&mut path);
        assert_eq!(path.to_string(), "65000 {65000 7}", "each number once");
    }

    #[test]
    fn override_and_local_as() {
        let overriding = BgpNeighborConfig { as_override: true, ..config() };
        assert_eq!(applied(&overriding, &[65001, 7, 65001]), "65000 65000 7 65000");
        let migrating = BgpNeighborConfig { local_as: 65100, shown_as: 65000, ..config() };
        assert_eq!(applied(&migrating, &[7]), "65100 65000 7");
        let alone = BgpNeighborConfig { local_as: 65100, ..config() };
        assert_eq!(applied(&alone, &[7]), "65100 7");
    }
}
