//! Several paths to one destination in a session (RFC 7911), both ways: every neighbour is told all paths of the others.

use super::Chapter;
use crate::interop::{
    expect::Rival,
    offer::{self, Offer},
    peer::{Maker, PeerPlan, Wishes},
};

/// See the module.
pub struct AddPaths;

impl Chapter for AddPaths {
    fn family(&self, _neighbor: &PeerPlan) -> &'static str {
        "add-path { receive; send { path-count 16; } }"
    }

    fn wishes(&self) -> Wishes {
        Wishes { add_paths: true, ..Wishes::default() }
    }

    /// Those who can have several paths of their own to two destinations.
    fn offers(&self, neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        // FRR has one of its own to a destination.
        let paths: u32 = if neighbor.maker == Maker::Frr { 1 } else { 3 };
        for (number, id) in [100, 101].into_iter().flat_map(|number| (1..=paths).map(move |id| (number, id))) {
            // A path that comes and one that goes.
            let is_gone = if changed { (100, 2) } else { (101, 3) };
            if (number, id) != is_gone {
                let path = vec![64_800 + id];
                let path_id = (paths > 1).then_some(id);
                offers.push(Offer { number, path_id, shared: true, title: "several paths", path, ..Offer::default() });
            }
        }
        offers
    }

    fn choose(&self, to: &PeerPlan, rivals: &[Rival<'_>]) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        for (place, rival) in rivals.iter().enumerate().filter(|(_, rival)| rival.is_told(to)) {
            // Two that are alike to the neighbour are told as one.
            if chosen.iter().all(|other| rivals[*other].seen != rival.seen) {
                chosen.push(place);
            }
        }
        chosen
    }
}
