//! What a router has told a neighbour, as the neighbour would have it in its table: for every prefix the path attributes, as
//! the bytes they came in. Two such tables are compared route by route and attribute by attribute.

use std::collections::HashMap;

use serde::Serialize;

use super::message::{self, HEADER_BYTES, Prefix, UPDATE};
use crate::error::Result;

/// Examples of each kind that a comparison keeps.
const EXAMPLES_MAX: usize = 5;

/// The table.
#[derive(Debug, Clone, Default)]
pub struct Told {
    blocks: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
    routes: HashMap<Prefix, u32>,
}

/// Two tables, route by route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Routes in both with the same attributes.
    pub equal: usize,
    /// Routes that only the other table has.
    pub missing: usize,
    /// Routes that only this one has.
    pub surplus: usize,
    /// Routes in both with other attributes.
    pub altered: usize,
    /// Some that differ.
    pub examples: Vec<String>,
}

impl Told {
    /// From UPDATEs, one behind the other.
    pub fn of(mut updates: &[u8]) -> Result<Self> {
        let mut told = Self::default();
        while let Some(length) = message::message_length(updates)? {
            let Some((message, rest)) = updates.split_at_checked(length) else { break };
            told.message(message)?;
            updates = rest;
        }
        Ok(told)
    }

    /// Takes a message; one that is no UPDATE changes nothing.
    pub fn message(&mut self, message: &[u8]) -> Result<()> {
        if message.get(HEADER_BYTES - 1) != Some(&UPDATE) {
            return Ok(());
        }
        let [withdrawn, attributes, announced] = message::sections(message.get(HEADER_BYTES..).unwrap_or_default())?;
        for prefix in message::prefixes(withdrawn)? {
            self.routes.remove(&prefix);
        }
        if !announced.is_empty() {
            let number = self.number(attributes);
            self.routes.extend(message::prefixes(announced)?.into_iter().map(|prefix| (prefix, number)));
        }
        Ok(())
    }

    fn number(&mut self, attributes: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(attributes) {
            return *number;
        }
        let number = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        self.blocks.push(attributes.to_vec());
        self.numbers.insert(attributes.to_vec(), number);
        number
    }

    /// How many routes are in it.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    fn attributes(&self, prefix: &Prefix) -> Option<&[u8]> {
        self.blocks.get(*self.routes.get(prefix)? as usize).map(Vec::as_slice)
    }

    /// In what it differs from another one, which is how it should be.
    pub fn difference(&self, right: &Self) -> Difference {
        let mut found = Difference::default();
        let mut example = |count: usize, text: String| {
            if count <= EXAMPLES_MAX {
                found.examples.push(text);
            }
        };
        for prefix in self.routes.keys() {
            match (self.attributes(prefix), right.attributes(prefix)) {
                (ours, Some(theirs)) if ours == Some(theirs) => found.equal += 1,
                (ours, Some(theirs)) => {
                    found.altered += 1;
                    example(found.altered, format!("{prefix} has {} instead of {}", hex(ours), hex(Some(theirs))));
                }
                (_, None) => {
                    found.surplus += 1;
                    example(found.surplus, format!("{prefix} should not be there"));
                }
            }
        }
        for prefix in right.routes.keys().filter(|prefix| !self.routes.contains_key(prefix)) {
            found.missing += 1;
            example(found.missing, format!("{prefix} is missing"));
        }
        found
    }
}

impl Difference {
    /// Routes that are not as they should be.
    pub fn count(&self) -> usize {
        self.missing + self.surplus + self.altered
    }
}

fn hex(bytes: Option<&[u8]>) -> String {
    bytes.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::bgp::message::{Attributes, announce, attribute_block, withdraw};

    fn told(routes: &[(u32, u32)], withdrawn: &[u32]) -> Told {
        let prefix = |number: u32| Prefix::new(number << 8, 24);
        let mut bytes = Vec::new();
        for (number, med) in routes {
            let attributes = Attributes { med: Some(*med), ..Attributes::default() };
            announce(&mut bytes, &attribute_block(&attributes, Ipv4Addr::LOCALHOST), &[prefix(*number)]);
        }
        message::frame(&mut bytes, message::KEEPALIVE, &[]);
        withdraw(&mut bytes, &withdrawn.iter().map(|number| prefix(*number)).collect::<Vec<_>>());
        Told::of(&bytes).unwrap()
    }

    #[test]
    fn the_last_word_counts_whatever_the_way_there() {
        let (long, short) = (told(&[(1, 7), (2, 7), (3, 7), (1, 8)], &[3]), told(&[(2, 7), (1, 8)], &[]));
        assert_eq!((long.len(), long.difference(&short)), (2, Difference { equal: 2, ..Difference::default() }));
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let found = told(&[(1, 7), (2, 7), (3, 7)], &[]).difference(&told(&[(1, 7), (2, 8), (4, 7)], &[]));
        assert_eq!((found.equal, found.missing, found.surplus, found.altered, found.count()), (1, 1, 1, 1, 3));
        assert_eq!(found.examples.len(), 3, "{:?}", found.examples);
    }
}
