//! AS_PATH (RFC 4271 §4.3, §5.1.2; RFC 5065 for confederations), in memory always with 4-octet numbers (RFC 6793).

use super::limits::{AS_TRANS, SEGMENT_ASNS_MAX};
use std::fmt;

/// What the AS numbers of a segment mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SegmentKind {
    /// Passed by at least one of the routes that were aggregated, in no order.
    Set = 1,
    /// Passed in this order.
    Sequence = 2,
    /// Passed in this order inside a confederation.
    ConfedSequence = 3,
    /// An unordered set inside a confederation.
    ConfedSet = 4,
}

impl SegmentKind {
    fn from_code(code: u8) -> Option<SegmentKind> {
        Some(match code {
            1 => SegmentKind::Set,
            2 => SegmentKind::Sequence,
            3 => SegmentKind::ConfedSequence,
            4 => SegmentKind::ConfedSet,
            _ => return None,
        })
    }

    fn is_confederation(self) -> bool {
        matches!(self, SegmentKind::ConfedSequence | SegmentKind::ConfedSet)
    }
}

/// A run of AS numbers of one kind.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// What they mean.
    pub kind: SegmentKind,
    /// The numbers, nearest first; never empty in what was received.
    pub asns: Vec<u32>,
}

impl Segment {
    /// What it counts in a path's length (RFC 4271 §9.1.2.2 a; RFC 5065 §5.3 c).
    fn path_length(&self) -> usize {
        match self.kind {
            SegmentKind::Sequence => self.asns.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }
}

/// The autonomous systems that a route has passed, nearest first.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AsPath {
    /// Segments, nearest first.
    pub segments: Vec<Segment>,
}

impl AsPath {
    /// One sequence, or an empty path.
    pub fn sequence(asns: &[u32]) -> AsPath {
        let kind = SegmentKind::Sequence;
        let segment = |asns: &[u32]| Segment { kind, asns: asns.to_vec() };
        AsPath { segments: asns.chunks(SEGMENT_ASNS_MAX).map(segment).collect() }
    }

    /// The length that best path selection compares (RFC 4271 §9.1.2.2 a): a set counts one, a confederation's nothing.
    pub fn path_length(&self) -> usize {
        self.segments.iter().map(Segment::path_length).sum()
    }

    /// Is this AS anywhere in the path?
    pub fn contains(&self, asn: u32) -> bool {
        self.segments.iter().any(|segment| segment.asns.contains(&asn))
    }

    /// Every AS number, nearest first.
    pub fn asns(&self) -> impl Iterator<Item = u32> + '_ {
        self.segments.iter().flat_map(|segment| segment.asns.iter().copied())
    }

    /// Puts an AS in front `times` times. Segments are begun anew at 255 numbers (RFC 4271 §5.1.2).
    pub fn prepend(&mut self, asn: u32, times: usize) {
        for _ in 0..times {
            match self.segments.first_mut() {
                Some(Segment { kind: SegmentKind::Sequence, asns }) if asns.len() < SEGMENT_ASNS_MAX => {
                    asns.insert(0, asn);
                }
                _ => self.segments.insert(0, Segment { kind: SegmentKind::Sequence, asns: vec![asn] }),
            }
        }
    }

    /// Puts another number in the place of each, nearest first, or none. Segments that become empty go.
    pub fn edit(&mut self, mut becomes: impl FnMut(u32) -> Option<u32>) {
        for segment in &mut self.segments {
            let numbers = std::mem::take(&mut segment.asns);
            let is_set = matches!(segment.kind, SegmentKind::Set | SegmentKind::ConfedSet);
            for asn in numbers.into_iter().filter_map(&mut becomes) {
                // In a set a number stands once, however many have become it.
                if !is_set || !segment.asns.contains(&asn) {
                    segment.asns.push(asn);
                }
            }
        }
        self.segments.retain(|segment| !segment.asns.is_empty());
    }

    /// The AS that the route was received from, by which MEDs are compared (RFC 4271 §9.1.2.2 c): the first of a
    /// leading sequence, confederation segments passed over. `None`: the path is empty or begins with a set.
    pub fn neighbor_as(&self) -> Option<u32> {
        let first = self.segments.iter().find(|segment| !segment.kind.is_confederation())?;
        (first.kind == SegmentKind::Sequence).then(|| first.asns.first().copied()).flatten()
    }

    /// The AS that the route comes from. `None`: the path is empty or ends with a set.
    pub fn origin_as(&self) -> Option<u32> {
        let last = self.segments.last()?;
        (last.kind == SegmentKind::Sequence).then(|| last.asns.last().copied()).flatten()
    }

    /// Reads a value that [`check`] has passed; what is wrong all the same ends the path.
    pub(crate) fn decode(value: &[u8], width: AsWidth) -> AsPath {
        let read = |(kind, field): (SegmentKind, &[u8])| Segment { kind, asns: width.read(field) };
        AsPath { segments: RawSegments { rest: value, width }.map_while(Result::ok).map(read).collect() }
    }

    /// Appends the value. In two octets a longer AS number is AS_TRANS. Long segments are split.
    pub(crate) fn encode(&self, out: &mut impl Extend<u8>, width: AsWidth) {
        for segment in &self.segments {
            for asns in segment.asns.chunks(SEGMENT_ASNS_MAX) {
                out.extend([segment.kind as u8, asns.len() as u8]);
                match width {
                    AsWidth::Two => out.extend(asns.iter().flat_map(|asn| two_octets(*asn).to_be_bytes())),
                    AsWidth::Four => out.extend(asns.iter().flat_map(|asn| asn.to_be_bytes())),
                }
            }
        }
    }

    /// The path that is meant by AS_PATH with AS_TRANS in it and AS4_PATH (RFC 6793 §4.2.3).
    pub(crate) fn merged_with_as4(self, as4: AsPath) -> AsPath {
        let Some(mut leading) = self.path_length().checked_sub(as4.path_length()) else {
            return self; // a shorter AS_PATH: somebody on the way changed it, AS4_PATH is not to be trusted
        };
        let mut merged = AsPath::default();
        for mut segment in self.segments {
            let counts = segment.path_length();
            if counts > leading && segment.kind == SegmentKind::Sequence {
                segment.asns.truncate(leading);
            } else if counts > leading {
                break;
            }
            leading -= segment.path_length();
            merged.append(segment);
        }
        as4.without_confederations().segments.into_iter().for_each(|segment| merged.append(segment));
        merged
    }

    /// What leaves a confederation, and what AS4_PATH carries (RFC 6793 §3).
    pub fn without_confederations(mut self) -> AsPath {
        self.segments.retain(|segment| !segment.kind.is_confederation());
        self
    }

    /// Adds a segment at the far end, into the last one if both are sequences and there is room.
    fn append(&mut self, segment: Segment) {
        if segment.asns.is_empty() {
            return;
        }
        match self.segments.last_mut() {
            Some(last)
                if last.kind == SegmentKind::Sequence
                    && segment.kind == SegmentKind::Sequence
                    && last.asns.len() + segment.asns.len() <= SEGMENT_ASNS_MAX =>
            {
                last.asns.extend_from_slice(&segment.asns);
            }
            _ => self.segments.push(segment),
        }
    }
}

impl fmt::Display for AsPath {
    /// As operators write it: `65001 65002 {1 2}`, confederations `(65001)` and `[1 2]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            let (open, close) = match segment.kind {
                SegmentKind::Sequence => ("", ""),
                SegmentKind::Set => ("{", "}"),
                SegmentKind::ConfedSequence => ("(", ")"),
                SegmentKind::ConfedSet => ("[", "]"),
            };
            f.write_str(if position == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (position, asn) in segment.asns.iter().enumerate() {
                write!(f, "{}{asn}", if position == 0 { "" } else { " " })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

/// How many octets an AS number takes on a session (RFC 6793).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AsWidth {
    /// The neighbour is old.
    Two,
    /// The rule.
    Four,
}

impl AsWidth {
    pub(crate) fn of(four_octet_as: bool) -> AsWidth {
        if four_octet_as { AsWidth::Four } else { AsWidth::Two }
    }

    const fn octets(self) -> usize {
        match self {
            AsWidth::Two => 2,
            AsWidth::Four => 4,
        }
    }

    fn read(self, field: &[u8]) -> Vec<u32> {
        match self {
            AsWidth::Two => field.chunks_exact(2).map(|o| u32::from(u16::from_be_bytes([o[0], o[1]]))).collect(),
            AsWidth::Four => field.chunks_exact(4).map(|o| u32::from_be_bytes([o[0], o[1], o[2], o[3]])).collect(),
        }
    }

    fn has_zero(self, field: &[u8]) -> bool {
        match self {
            AsWidth::Two => field.chunks_exact(2).any(|o| o == [0; 2]),
            AsWidth::Four => field.chunks_exact(4).any(|o| o == [0; 4]),
        }
    }
}

/// A 4-octet AS number for one who knows two.
pub(crate) fn two_octets(asn: u32) -> u16 {
    u16::try_from(asn).unwrap_or(AS_TRANS)
}

/// Segments of a value as they lie there.
struct RawSegments<'a> {
    rest: &'a [u8],
    width: AsWidth,
}

impl<'a> Iterator for RawSegments<'a> {
    type Item = Result<(SegmentKind, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let &[kind, count, ref rest @ ..] = self.rest else {
            return Some(Err("a single octet is left over"));
        };
        let Some(kind) = SegmentKind::from_code(kind) else {
            return Some(Err("unknown segment type"));
        };
        if count == 0 {
            return Some(Err("a segment of no AS numbers"));
        }
        let Some((field, rest)) = rest.split_at_checked(usize::from(count) * self.width.octets()) else {
            return Some(Err("a segment is longer than the attribute"));
        };
        self.rest = rest;
        Some(Ok((kind, field)))
    }
}

/// Is the value well-formed (RFC 7606 §7.2, RFC 7607 §2)? Returns whether confederation segments are in it.
pub(crate) fn check(value: &[u8], width: AsWidth) -> Result<bool, &'static str> {
    let mut confederation = false;
    for segment in (RawSegments { rest: value, width }) {
        let (kind, field) = segment?;
        if width.has_zero(field) {
            return Err("AS number 0");
        }
        confederation |= kind.is_confederation();
    }
    Ok(confederation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(asns: &[u32]) -> Segment {
        Segment { kind: SegmentKind::Set, asns: asns.to_vec() }
    }

    fn confed(asns: &[u32]) -> Segment {
        Segment { kind: SegmentKind::ConfedSequence, asns: asns.to_vec() }
    }

    #[test]
    fn lengths_neighbours_and_origins() {
        let mut path = AsPath::sequence(&[65001, 65002]);
        assert_eq!((path.path_length(), path.neighbor_as(), path.origin_as()), (2, Some(65001), Some(65002)));
        path.segments.push(set(&[1, 2]));
        assert_eq!((path.path_length(), path.origin_as()), (3, None));
        assert_eq!(path.to_string(), "65001 65002 {1 2}");
        path.segments.insert(0, confed(&[7]));
        assert_eq!((path.path_length(), path.neighbor_as()), (3, Some(65001)));
        assert_eq!(path.to_string(), "(7) 65001 65002 {1 2}");
        assert!(path.contains(2) && path.contains(7) && !path.contains(3));
        assert_eq!(AsPath { segments: vec![set(&[1])] }.neighbor_as(), None);
        assert_eq!(AsPath::default().neighbor_as(), None);
    }

    #[test]
    fn prepending_begins_a_new_segment_at_255() {
        let mut path = AsPath::sequence(&[9; 254]);
        path.prepend(1, 3);
        assert_eq!(path.segments.len(), 2);
        assert_eq!(path.segments[0].asns, [1, 1]);
        assert_eq!(path.path_length(), 257);
        let mut path = AsPath { segments: vec![set(&[5])] };
        path.prepend(1, 1);
        assert_eq!(path.to_string(), "1 {5}");
    }

    #[test]
    fn malformed_values() {
        for (value, reason) in [
            (&[2, 1, 0, 0][..], "longer"),
            (&[2, 0], "no AS"),
            (&[5, 1, 0, 0, 0, 1], "unknown"),
            (&[2], "single"),
            (&[2, 1, 0, 0, 0, 0], "AS number 0"),
        ] {
            assert!(check(value, AsWidth::Four).unwrap_err().contains(reason), "{value:?}");
        }
        assert_eq!(check(&[], AsWidth::Four), Ok(false));
        assert_eq!(check(&[3, 1, 0, 1], AsWidth::Two), Ok(true));
    }

    #[test]
    fn as4_path_replaces_the_far_end() {
        let trans = u32::from(AS_TRANS);
        let merged = |path: AsPath, as4: &[u32]| path.merged_with_as4(AsPath::sequence(as4)).to_string();
        assert_eq!(merged(AsPath::sequence(&[100, trans, trans]), &[70000, 80000]), "100 70000 80000");
        assert_eq!(merged(AsPath::sequence(&[trans]), &[70000]), "70000");
        // Longer than AS_PATH: not to be trusted.
        assert_eq!(merged(AsPath::sequence(&[100]), &[70000, 80000]), "100");
        let with_set =
            AsPath { segments: vec![confed(&[3]), AsPath::sequence(&[100]).segments.remove(0), set(&[trans, 5])] };
        assert_eq!(merged(with_set, &[70000]), "(3) 100 70000");
    }
}
