//! Counting what a router says: every prefix of every UPDATE, without making a value of any.

use super::prefix_set::{LENGTH_MAX, PrefixSet};
use crate::{
    bgp::message::HEADER_BYTES,
    error::{LabError, Result},
};

/// What was heard in one session.
#[derive(Debug, Default)]
pub struct Count {
    /// Prefixes that count; others (an echo of what was fed) do not.
    pub counted: PrefixSet,
    /// Of those, what stands announced.
    pub present: PrefixSet,
    /// UPDATE messages.
    pub updates: u64,
    /// Announced prefixes, echoes and repetitions too.
    pub announced: u64,
    /// Withdrawn prefixes.
    pub withdrawn: u64,
}

impl Count {
    /// Nothing heard; only these prefixes count.
    pub fn of(counted: PrefixSet) -> Self {
        Self { counted, ..Self::default() }
    }

    /// Takes the body of an UPDATE.
    pub fn update(&mut self, message: &[u8]) -> Result<()> {
        let body = message.get(HEADER_BYTES..).unwrap_or_default();
        let (withdrawn, rest) = counted(body)?;
        let (_attributes, announced) = counted(rest)?;
        self.updates += 1;
        let (set, present) = (&self.counted, &mut self.present);
        self.withdrawn += each_prefix(withdrawn, |number| {
            if set.contains(number) {
                present.remove(number);
            }
        })?;
        self.announced += each_prefix(announced, |number| {
            if set.contains(number) {
                present.insert(number);
            }
        })?;
        Ok(())
    }
}

fn short() -> LabError {
    LabError::Protocol("an UPDATE ends in the middle of a field".into())
}

fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*count))).ok_or_else(short)
}

/// Calls with the number of each prefix that has one; returns how many prefixes there are.
fn each_prefix(mut bytes: &[u8], mut call: impl FnMut(u32)) -> Result<u64> {
    let mut count = 0;
    while let Some((&length, rest)) = bytes.split_first() {
        let (octets, rest) = rest.split_at_checked(usize::from(length.div_ceil(8))).ok_or_else(short)?;
        count += 1;
        if length <= LENGTH_MAX {
            // Up to three octets; those that are there are the high ones.
            let address = octets.iter().fold(0u32, |value, octet| value << 8 | u32::from(*octet));
            call(1 << length | address >> (octets.len() as u32 * 8 - u32::from(length)));
        }
        bytes = rest;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::message::{Attributes, Prefix, announce, attribute_block, withdraw};
    use std::net::Ipv4Addr;

    #[test]
    fn announced_withdrawn_and_echoed() {
        let prefixes: Vec<_> = [(0x0102_0300, 24), (0x0800_0000, 8), (0x0c80_0000, 9), (0x0102_0000, 15)]
            .map(|(address, length)| Prefix::new(address, length))
            .to_vec();
        let mut count = Count::of(PrefixSet::of(prefixes.iter().copied().skip(1)));
        let block = attribute_block(&Attributes::default(), Ipv4Addr::LOCALHOST);
        let mut bytes = Vec::new();
        announce(&mut bytes, &block, &prefixes);
        count.update(&bytes).unwrap();
        count.update(&bytes).unwrap();
        assert_eq!((count.present.len(), count.announced, count.updates), (3, 8, 2));
        bytes.clear();
        withdraw(&mut bytes, &prefixes[..2]);
        count.update(&bytes).unwrap();
        assert_eq!((count.present.len(), count.withdrawn), (2, 2));
    }

    #[test]
    fn damaged_updates_are_refused_and_never_panic() {
        let mut bytes = Vec::new();
        let block = attribute_block(&Attributes::default(), Ipv4Addr::LOCALHOST);
        announce(&mut bytes, &block, &[Prefix::new(0x0102_0300, 24), Prefix::new(0x0102_0304, 32)]);
        let mut count = Count::default();
        for end in 0..bytes.len() {
            let _ = count.update(&bytes[..end]);
        }
        assert!(count.update(&bytes[..bytes.len() - 1]).is_err());
    }
}
