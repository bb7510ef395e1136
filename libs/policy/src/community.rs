//! Communities as text, as sets of values, and as patterns of values.

use std::fmt::Write;

use smallvec::SmallVec;

use crate::automaton::Automaton;
use crate::expression::{Alphabet, ExpressionError, compile};
use crate::extended::{self, Administrator, Named};
use crate::route::RouteView;

/// The IANA registry's well-known communities by the names that operators write.
const WELL_KNOWN_COMMUNITIES: [(&str, u32); 9] = [
    ("graceful-shutdown", 0xffff_0000),   // RFC 8326
    ("accept-own", 0xffff_0001),          // RFC 7611
    ("llgr-stale", 0xffff_0006),          // RFC 9494
    ("no-llgr", 0xffff_0007),             // RFC 9494
    ("blackhole", 0xffff_029a),           // RFC 7999
    ("no-export", 0xffff_ff01),           // RFC 1997
    ("no-advertise", 0xffff_ff02),        // RFC 1997
    ("no-export-subconfed", 0xffff_ff03), // RFC 1997
    ("no-peer", 0xffff_ff04),             // RFC 3765
];

/// What a member must look like, for messages.
pub const COMMUNITY_REQUIRED: &str = "AS:VALUE (each up to 65535), a well-known name such as no-export, large:AS:VALUE:VALUE, \
     target:AS:VALUE, origin:AS:VALUE, bandwidth:AS:OCTETS-PER-SECOND or extended:HEXADECIMAL; in place of a number, but for the last two, * or an \
     expression such as 1[0-9]+";

/// The name of a well-known community.
fn well_known_name(community: u32) -> Option<&'static str> {
    WELL_KNOWN_COMMUNITIES.iter().find(|(_, value)| *value == community).map(|(name, _)| *name)
}

/// The members of a community list: values, sorted and without duplicates, and patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommunityValues {
    /// Standard communities (RFC 1997).
    pub standard: Vec<u32>,
    /// Extended communities (RFC 4360).
    pub extended: Vec<[u8; 8]>,
    /// Large communities (RFC 8092).
    pub large: Vec<[u32; 3]>,
    /// Members with wildcards and expressions.
    pub(crate) patterns: Vec<Pattern>,
    /// The list stands for what does not match it (`invert-match`).
    pub(crate) inverted: bool,
}

impl CommunityValues {
    /// Whether a value is a member, by itself and not by a pattern.
    pub(crate) fn has<T: Community>(&self, value: &T) -> bool {
        T::listed(self).binary_search(value).is_ok()
    }

    /// Whether a value is one that the list stands for: what `delete` takes away.
    pub(crate) fn covers<T: Community>(&self, value: &T) -> bool {
        let member = self.has(value) || self.patterns.iter().any(|pattern| value.fits(pattern));
        member != self.inverted
    }

    /// Whether it names values and nothing else, so that they can be put on a route.
    pub(crate) fn is_plain(&self) -> bool {
        self.patterns.is_empty() && !self.inverted
    }

    pub(crate) fn push(&mut self, member: Member) {
        match member {
            Member::Standard(value) => insert_sorted(&mut self.standard, value),
            Member::Extended(value) => insert_sorted(&mut self.extended, value),
            Member::Large(value) => insert_sorted(&mut self.large, value),
            Member::Pattern(pattern) => self.patterns.push(pattern),
        }
    }
}

fn insert_sorted<T: Ord>(values: &mut Vec<T>, value: T) {
    if let Err(place) = values.binary_search(&value) {
        values.insert(place, value);
    }
}

/// One of the three kinds of communities.
pub(crate) trait Community: Copy + Ord {
    /// The members of a list that are of this kind.
    fn listed(list: &CommunityValues) -> &Vec<Self>;
    /// Those of a route.
    fn carried<R: RouteView + ?Sized>(route: &R) -> &[Self];
    /// Whether a pattern is of this kind and the value is like it.
    fn fits(&self, pattern: &Pattern) -> bool;
}

impl Community for u32 {
    fn listed(list: &CommunityValues) -> &Vec<u32> {
        &list.standard
    }
    fn carried<R: RouteView + ?Sized>(route: &R) -> &[u32] {
        route.communities()
    }
    fn fits(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Standard { mask, value } => self & mask == *value,
            Pattern::Expression { kind: Kind::Standard, automaton, .. } => {
                spells(automaton, format_args!("{}:{}", self >> 16, self & 0xffff))
            }
            _ => false,
        }
    }
}

impl Community for [u8; 8] {
    fn listed(list: &CommunityValues) -> &Vec<[u8; 8]> {
        &list.extended
    }
    fn carried<R: RouteView + ?Sized>(route: &R) -> &[[u8; 8]] {
        route.extended_communities()
    }
    fn fits(&self, pattern: &Pattern) -> bool {
        let Some(named) = Named::of(self) else { return false };
        match pattern {
            Pattern::Extended { subtype, administrator, local } => {
                *subtype == named.subtype
                    && administrator.is_none_or(|wanted| wanted == named.administrator)
                    && local.is_none_or(|wanted| wanted == named.local)
            }
            Pattern::Expression { kind: Kind::Extended(subtype), automaton, .. } => {
                *subtype == named.subtype && spells(automaton, format_args!("{}:{}", named.administrator, named.local))
            }
            _ => false,
        }
    }
}

impl Community for [u32; 3] {
    fn listed(list: &CommunityValues) -> &Vec<[u32; 3]> {
        &list.large
    }
    fn carried<R: RouteView + ?Sized>(route: &R) -> &[[u32; 3]] {
        route.large_communities()
    }
    fn fits(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Large(wanted) => self.iter().zip(wanted).all(|(word, wanted)| wanted.is_none_or(|w| w == *word)),
            Pattern::Expression { kind: Kind::Large, automaton, .. } => {
                let [a, b, c] = self;
                spells(automaton, format_args!("{a}:{b}:{c}"))
            }
            _ => false,
        }
    }
}

/// Which communities an expression is about; of extended ones those of one subtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Standard,
    Extended(u8),
    Large,
}

/// A member that stands for many values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    /// `65000:*`, `*:100`.
    Standard { mask: u32, value: u32 },
    /// `target:65000:*`; `None`: whatever.
    Extended { subtype: u8, administrator: Option<Administrator>, local: Option<u32> },
    /// `large:65000:*:1`; `None`: whatever.
    Large([Option<u32>; 3]),
    /// Over the decimal text, without the name of the kind.
    Expression { kind: Kind, automaton: Automaton },
}

/// Whether an automaton takes the text.
fn spells(automaton: &Automaton, text: std::fmt::Arguments<'_>) -> bool {
    struct Speller<'a>(crate::automaton::Run<'a>);
    impl Write for Speller<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            text.chars().for_each(|letter| self.0.step(&[letter.into()]));
            Ok(())
        }
    }
    let mut speller = Speller(automaton.run());
    speller.write_fmt(text).is_ok() && speller.0.matches()
}

/// One member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Standard(u32),
    Extended([u8; 8]),
    Large([u32; 3]),
    Pattern(Pattern),
}

/// Reads a member: a value if it is one, else with `*` for whole numbers, else an expression.
pub(crate) fn parse(text: &str) -> Result<Member, ExpressionError> {
    if let Some(member) = value(text).or_else(|| wildcard(text).map(Member::Pattern)) {
        return Ok(member);
    }
    // `^` may stand before the name of the kind: it says nothing either way.
    let bare = text.strip_prefix('^').unwrap_or(text);
    let (kind, rest) = match (bare.strip_prefix("large:"), extended::named(bare)) {
        (Some(rest), _) => (Kind::Large, rest),
        (_, Some((subtype, rest))) => (Kind::Extended(subtype), rest),
        _ => (Kind::Standard, bare),
    };
    if !rest.contains(|letter| "^$.*+?{}()[]|".contains(letter)) {
        return Err(ExpressionError::Syntax { at: 1, what: "this is neither a community nor an expression" });
    }
    if !rest.contains(':') {
        return Err(ExpressionError::Syntax { at: 1, what: "an expression over communities has a : in it" });
    }
    Ok(Member::Pattern(Pattern::Expression { kind, automaton: compile(rest, Alphabet::Characters)? }))
}

fn value(text: &str) -> Option<Member> {
    if let Some((_, value)) = WELL_KNOWN_COMMUNITIES.iter().find(|(name, _)| *name == text) {
        return Some(Member::Standard(*value));
    }
    if let Some(large) = text.strip_prefix("large:") {
        let [a, b, c] = fields(large)?;
        return Some(Member::Large([decimal(a)?, decimal(b)?, decimal(c)?]));
    }
    if let Some(value) = extended::parse(text) {
        return Some(Member::Extended(value));
    }
    let [high, low] = fields(text)?;
    Some(Member::Standard(u32::from(decimal::<u16>(high)?) << 16 | u32::from(decimal::<u16>(low)?)))
}

fn wildcard(text: &str) -> Option<Pattern> {
    if let Some(large) = text.strip_prefix("large:") {
        let [a, b, c] = fields(large)?.map(|field| any_or(field, decimal));
        return Some(Pattern::Large([a?, b?, c?]));
    }
    if let Some((subtype, rest)) = extended::named(text) {
        let [administrator, local] = fields(rest)?;
        let (administrator, local) = (any_or(administrator, Administrator::parse)?, any_or(local, decimal)?);
        return Some(Pattern::Extended { subtype, administrator, local });
    }
    let [high, low] = fields(text)?.map(|field| any_or(field, decimal::<u16>));
    let part = |half: Option<u16>| half.map_or((0, 0), |value| (u32::from(u16::MAX), u32::from(value)));
    let ((high_mask, high), (low_mask, low)) = (part(high?), part(low?));
    Some(Pattern::Standard { mask: high_mask << 16 | low_mask, value: high << 16 | low })
}

/// Outer `None`: neither `*` nor what `read` reads.
fn any_or<T>(field: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if field == "*" { Some(None) } else { read(field).map(Some) }
}

fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    let fields: SmallVec<[&str; 3]> = text.split(':').take(N + 1).collect();
    fields.as_slice().try_into().ok()
}

/// Digits only: `parse` alone would take a sign.
pub(crate) fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether a text is a member of a community list: a value, or a pattern of values. What is wrong with it otherwise.
pub fn check_community_member(text: &str) -> Result<(), ExpressionError> {
    parse(text).map(drop)
}

/// A standard community as operators write it: a well-known name, or AS:VALUE.
pub fn community_text(value: u32) -> String {
    well_known_name(value).map_or_else(|| format!("{}:{}", value >> 16, value & 0xffff), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_like(pattern: &str, texts: &[&str]) -> Vec<bool> {
        let Ok(Member::Pattern(pattern)) = parse(pattern) else { panic!("{pattern} is no pattern") };
        let fits = |text: &&str| match parse(text) {
            Ok(Member::Standard(value)) => value.fits(&pattern),
            Ok(Member::Extended(value)) => value.fits(&pattern),
            Ok(Member::Large(value)) => value.fits(&pattern),
            other => panic!("{text} is {other:?}"),
        };
        texts.iter().map(fits).collect()
    }

    #[test]
    fn reads_what_operators_write() {
        assert_eq!(parse("65000:100"), Ok(Member::Standard(0xfde8_0064)));
        assert_eq!(parse("0:0"), Ok(Member::Standard(0)));
        assert_eq!(parse("large:4200000000:1:2"), Ok(Member::Large([4_200_000_000, 1, 2])));
        assert_eq!(parse("target:1:2"), Ok(Member::Extended([0, 2, 0, 1, 0, 0, 0, 2])));
        for (name, value) in WELL_KNOWN_COMMUNITIES {
            assert_eq!(parse(name), Ok(Member::Standard(value)));
            assert_eq!((well_known_name(value), community_text(value)), (Some(name), name.to_owned()));
        }
        assert_eq!(community_text(0xfde8_0064), "65000:100");
    }

    #[test]
    fn refuses_everything_else() {
        let wrong = ["", ":", "1", "1:", ":1", "65536:1", "1:65536", "+1:2", "1:2:3", "large:1:2", "large:1:2:3:4"];
        let more =
            ["large:4294967296:1:1", "no-such", "large:1:-2:3", " 1:2", "*", ".*", "1:(2", "1:2{", "1:2**", "65000:[]"];
        for text in wrong.into_iter().chain(more) {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn wildcards_stand_for_whole_numbers() {
        assert_eq!(
            is_like("65000:*", &["65000:1", "65000:65535", "65001:1", "large:65000:1:1"]),
            [true, true, false, false]
        );
        assert_eq!(is_like("*:100", &["1:100", "65000:100", "1:1000", "1:10"]), [true, true, false, false]);
        assert_eq!(is_like("*:*", &["1:100", "no-export", "target:1:1"]), [true, true, false]);
        let large = ["large:65000:9:1", "large:65000:9:2", "large:1:9:1", "65000:1"];
        assert_eq!(is_like("large:65000:*:1", &large), [true, false, false, false]);
        let targets = ["target:65000:1", "target:65000L:1", "origin:65000:1", "target:10.0.0.1:1"];
        assert_eq!(is_like("target:65000:*", &targets), [true, false, false, false]);
        assert_eq!(is_like("target:*:1", &targets), [true, true, false, true]);
    }

    #[test]
    fn expressions_match_the_whole_text() {
        let some = ["65000:1", "65000:15", "65000:150", "5000:1", "65001:15"];
        assert_eq!(is_like("65000:1.", &some), [false, true, false, false, false]);
        assert_eq!(is_like("^6500[01]:1[0-9]*$", &some), [true, true, true, false, true]);
        assert_eq!(is_like("(65000|65001):15?", &some), [true, true, false, false, true]);
        assert_eq!(is_like("*:1.{1,2}", &some), [false, true, true, false, true]);
        assert_eq!(is_like("large:6500.:(1|2):*", &["large:65000:2:77", "large:65000:3:77"]), [true, false]);
        assert_eq!(is_like("^target:6500.:.*", &["target:65001:9", "origin:65001:9"]), [true, false]);
        // What is not a member of a set is a digit all the same: it does not reach into the next field.
        assert_eq!(is_like("65000:[^1]+", &some), [false; 5]);
        assert_eq!(is_like("large:1:[^9]+", &["large:1:2:3", "large:1:2:33"]), [false, false]);
        assert_eq!(is_like("large:1:[^9]+:[^9]", &["large:1:2:3", "large:1:2:9", "large:1:9:3"]), [true, false, false]);
    }
}
