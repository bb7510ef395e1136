//! Neighbours on the links: all of them for operators, and for rpd those that do not answer.
//!
//! How many there are is for whoever is on the links to say, so rpd hears only what it can use: a neighbour that was asked for and did not answer,
//! and that it is not so any more. Of the others nothing is kept.

use std::collections::BTreeSet;
use std::net::IpAddr;

use holdfast_kernel::KernelError;
use holdfast_kernel::netlink::{Neighbor, NeighborState, Requester};
use holdfast_proto::v1::{self, interface_event::Event};

use crate::limits::{NEIGHBORS_MAX, SILENT_MAX};

/// Neighbours that did not answer when they were last asked for, by link.
#[derive(Debug, Default)]
pub struct Silent(BTreeSet<(u32, IpAddr)>);

impl Silent {
    /// A neighbour has changed; the event where that makes a difference.
    pub fn note(&mut self, neighbor: &Neighbor) -> Option<Event> {
        let key = (neighbor.interface_index, neighbor.address);
        match neighbor.state {
            NeighborState::Failed => {
                (self.0.len() < SILENT_MAX && self.0.insert(key)).then(|| Event::Silent(told(key)))
            }
            // On the way between the two: what was so stays so.
            NeighborState::Incomplete | NeighborState::Delay | NeighborState::Probe | NeighborState::None => None,
            _ => self.forget(key),
        }
    }

    /// The kernel has forgotten a neighbour.
    pub fn removed(&mut self, neighbor: &Neighbor) -> Option<Event> {
        self.forget((neighbor.interface_index, neighbor.address))
    }

    fn forget(&mut self, key: (u32, IpAddr)) -> Option<Event> {
        self.0.remove(&key).then(|| Event::NotSilent(told(key)))
    }

    /// Takes the whole list; the events that lead from before to now.
    pub fn replace(&mut self, neighbors: &[Neighbor]) -> Vec<Event> {
        let listed: BTreeSet<_> = neighbors.iter().map(|at| (at.interface_index, at.address)).collect();
        let gone: Vec<_> = self.0.iter().filter(|key| !listed.contains(*key)).copied().collect();
        let gone: Vec<Event> = gone.into_iter().filter_map(|key| self.forget(key)).collect();
        gone.into_iter().chain(neighbors.iter().filter_map(|neighbor| self.note(neighbor))).collect()
    }

    /// Everything, as events.
    pub fn snapshot(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|key| Event::Silent(told(*key)))
    }
}

fn told((index, address): (u32, IpAddr)) -> v1::LinkNeighbor {
    v1::LinkNeighbor { index, address: address.to_string() }
}

/// What the kernel knows of neighbours at this moment, for operators. Blocks.
pub fn list(request: &v1::ShowNeighborsRequest) -> Result<v1::NeighborEntries, KernelError> {
    let mut requester = Requester::open()?;
    let (links, mut neighbors) = (requester.links()?, requester.neighbors(request.ipv6)?);
    // Links that need no resolution, and groups of receivers, are no neighbours.
    neighbors.retain(|neighbor| !matches!(neighbor.state, NeighborState::NoArp | NeighborState::None));
    neighbors.sort_by_key(|neighbor| (neighbor.interface_index, neighbor.address));
    let mut entries = v1::NeighborEntries::default();
    for neighbor in neighbors {
        let link = links.iter().find(|link| link.index == neighbor.interface_index);
        let interface = link.map_or_else(|| format!("#{}", neighbor.interface_index), |link| link.name.clone());
        if !request.interface.is_empty() && request.interface != interface {
            continue;
        }
        if entries.neighbors.len() >= NEIGHBORS_MAX {
            entries.left_out += 1;
            continue;
        }
        let mac: Vec<String> = neighbor.mac.iter().map(|octet| format!("{octet:02x}")).collect();
        entries.neighbors.push(v1::NeighborEntry {
            address: neighbor.address.to_string(),
            interface,
            mac: mac.join(":"),
            state: neighbor.state.name().into(),
            router: neighbor.router,
            age_s: neighbor.age_s,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(last: u8, state: NeighborState) -> Neighbor {
        let address = IpAddr::from([10, 0, 0, last]);
        Neighbor { interface_index: 2, address, mac: Vec::new(), state, router: false, age_s: 0 }
    }

    #[test]
    fn only_what_does_not_answer_is_kept_until_it_answers_or_is_forgotten() {
        use NeighborState::{Failed, Incomplete, Permanent, Probe, Reachable, Stale};
        let mut silent = Silent::default();
        let two = || v1::LinkNeighbor { index: 2, address: "10.0.0.2".into() };
        assert_eq!(silent.note(&neighbor(2, Incomplete)), None);
        assert_eq!(silent.note(&neighbor(2, Failed)), Some(Event::Silent(two())));
        assert_eq!(silent.note(&neighbor(2, Failed)), None);
        assert_eq!(silent.note(&neighbor(2, Incomplete)), None, "asked for again, it has not answered yet");
        assert_eq!(silent.snapshot().collect::<Vec<_>>(), [Event::Silent(two())]);
        assert_eq!(silent.note(&neighbor(2, Reachable)), Some(Event::NotSilent(two())));
        assert_eq!(silent.note(&neighbor(2, Probe)), None);
        silent.note(&neighbor(2, Failed));
        assert_eq!(silent.removed(&neighbor(2, Failed)), Some(Event::NotSilent(two())));
        assert_eq!(silent.removed(&neighbor(2, Stale)), None);
        let list = [neighbor(2, Failed), neighbor(3, Permanent)];
        assert_eq!(silent.replace(&list), [Event::Silent(two())]);
        assert_eq!(silent.replace(&list), []);
        assert_eq!(silent.replace(&list[1..]), [Event::NotSilent(two())]);
        let many: Vec<Neighbor> =
            (0..=SILENT_MAX as u32).map(|number| Neighbor { interface_index: number, ..neighbor(9, Failed) }).collect();
        assert_eq!(silent.replace(&many).len(), SILENT_MAX);
    }
}
