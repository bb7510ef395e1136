//! The cases, as data.

use crate::error::{LabError, Result};

/// What the clock starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The feeders begin to send their tables.
    Tables,
    /// The feeder's session ends; nobody else has its routes.
    PeerLoss,
    /// The import policy of the feeder's session is another one: every route gets another community.
    PolicyChange,
    /// The feeder changes the attributes of single routes, one UPDATE for each.
    Storm,
}

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Neighbours that send routes, and receive what the others send.
    pub feeders: usize,
    /// Routes of each.
    pub routes: usize,
    /// All send the same prefixes, each with attributes of its own.
    pub same: bool,
    /// What is measured.
    pub event: Event,
    /// The router puts its routes into the kernel.
    pub forwarding: bool,
}

/// Appended to the name of a case in which the router writes to the kernel.
const WITH_FIB: &str = "-fib";
/// Routes that a storm changes.
pub const STORM_UPDATES: usize = 100_000;

const fn case(name: &'static str, feeders: usize, routes: usize, event: Event) -> Case {
    Case { name, feeders, routes, same: false, event, forwarding: false }
}

/// Without FIB.
const CASES: [Case; 7] = [
    case("1x1000000", 1, 1_000_000, Event::Tables),
    case("10x100000-distinct", 10, 100_000, Event::Tables),
    Case { same: true, ..case("10x100000-same", 10, 100_000, Event::Tables) },
    case("30x30000", 30, 30_000, Event::Tables),
    case("peer-loss", 1, 1_000_000, Event::PeerLoss),
    case("policy-change", 1, 1_000_000, Event::PolicyChange),
    case("storm", 1, 1_000_000, Event::Storm),
];

impl Case {
    /// All of them, without and with FIB.
    pub fn all() -> Vec<Self> {
        let with = |case: &Self| Self { forwarding: true, ..*case };
        CASES.iter().copied().chain(CASES.iter().map(with)).collect()
    }

    /// Those of these names; none named: all.
    pub fn select(names: &[String]) -> Result<Vec<Self>> {
        let all = Self::all();
        for name in names {
            if !all.iter().any(|case| case.title() == *name) {
                let known: Vec<_> = all.iter().map(Self::title).collect();
                return Err(LabError::Usage(format!("there is no case {name}; the cases are: {}", known.join(", "))));
            }
        }
        Ok(all.into_iter().filter(|case| names.is_empty() || names.contains(&case.title())).collect())
    }

    /// Its name; `-fib` says that routes go into the kernel.
    pub fn title(&self) -> String {
        format!("{}{}", self.name, if self.forwarding { WITH_FIB } else { "" })
    }

    /// The same with so many routes in all: for machines that are small, and for trying.
    pub fn scaled(self, routes: Option<usize>) -> Self {
        let Some(total) = routes else { return self };
        Self { routes: if self.same { total } else { total / self.feeders }, ..self }
    }

    /// Prefixes in the router's table.
    pub fn prefixes(&self) -> usize {
        if self.same { self.routes } else { self.routes * self.feeders }
    }

    /// Prefixes that a storm changes.
    pub fn storm(&self) -> usize {
        STORM_UPDATES.min(self.prefixes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_name() {
        assert_eq!(Case::select(&[]).unwrap().len(), 14);
        let two = Case::select(&["storm-fib".into(), "1x1000000".into()]).unwrap();
        let titles: Vec<_> = two.iter().map(Case::title).collect();
        assert_eq!(titles, ["1x1000000", "storm-fib"]);
        assert!(Case::select(&["2x2".into()]).unwrap_err().to_string().contains("30x30000-fib"));
        let small = Case::all()[3].scaled(Some(6_000));
        assert_eq!((small.routes, small.prefixes(), small.storm()), (200, 6_000, 6_000));
        assert_eq!(Case::all()[2].scaled(Some(500)).prefixes(), 500);
    }
}
