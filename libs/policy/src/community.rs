//! Communities as text and as sets of values.

/// The IANA registry's well-known communities by the names that operators write.
pub const WELL_KNOWN_COMMUNITIES: [(&str, u32); 9] = [
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
pub(crate) const COMMUNITY_REQUIRED: &str =
    "AS:VALUE with both up to 65535, large:AS:VALUE:VALUE, or a well-known name such as no-export";

/// The name of a well-known community.
pub fn well_known_name(community: u32) -> Option<&'static str> {
    WELL_KNOWN_COMMUNITIES.iter().find(|(_, value)| *value == community).map(|(name, _)| *name)
}

/// Values of a community list; sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommunityValues {
    /// Standard communities (RFC 1997).
    pub standard: Vec<u32>,
    /// Large communities (RFC 8092).
    pub large: Vec<[u32; 3]>,
}

impl CommunityValues {
    /// Whether a standard community is among the values.
    pub fn has_standard(&self, value: u32) -> bool {
        self.standard.binary_search(&value).is_ok()
    }

    /// Whether a large community is among the values.
    pub fn has_large(&self, value: &[u32; 3]) -> bool {
        self.large.binary_search(value).is_ok()
    }

    pub(crate) fn push(&mut self, community: Community) {
        match community {
            Community::Standard(value) => insert_sorted(&mut self.standard, value),
            Community::Large(value) => insert_sorted(&mut self.large, value),
        }
    }
}

fn insert_sorted<T: Ord>(values: &mut Vec<T>, value: T) {
    if let Err(place) = values.binary_search(&value) {
        values.insert(place, value);
    }
}

/// One community value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Community {
    Standard(u32),
    Large([u32; 3]),
}

pub(crate) fn parse(text: &str) -> Option<Community> {
    if let Some((_, value)) = WELL_KNOWN_COMMUNITIES.iter().find(|(name, _)| *name == text) {
        return Some(Community::Standard(*value));
    }
    if let Some(large) = text.strip_prefix("large:") {
        let mut parts = large.split(':').map(decimal::<u32>);
        let value = [parts.next()??, parts.next()??, parts.next()??];
        return parts.next().is_none().then_some(Community::Large(value));
    }
    let (high, low) = text.split_once(':')?;
    Some(Community::Standard(u32::from(decimal::<u16>(high)?) << 16 | u32::from(decimal::<u16>(low)?)))
}

/// Digits only: `parse` alone would take a sign.
fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads one community as the configuration writes it: `65000:100`, `large:65000:1:2`, `no-export`. The values hold
/// exactly one.
pub fn parse_community(text: &str) -> Option<CommunityValues> {
    let mut values = CommunityValues::default();
    values.push(parse(text)?);
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_write() {
        assert_eq!(parse("65000:100"), Some(Community::Standard(0xfde8_0064)));
        assert_eq!(parse("0:0"), Some(Community::Standard(0)));
        assert_eq!(parse("large:4200000000:1:2"), Some(Community::Large([4_200_000_000, 1, 2])));
        for (name, value) in WELL_KNOWN_COMMUNITIES {
            assert_eq!(parse(name), Some(Community::Standard(value)));
            assert_eq!(well_known_name(value), Some(name));
        }
    }

    #[test]
    fn refuses_everything_else() {
        let wrong = ["", ":", "1", "1:", ":1", "65536:1", "1:65536", "+1:2", "1:2:3", "large:1:2", "large:1:2:3:4"];
        for text in wrong.into_iter().chain(["large:4294967296:1:1", "no-such", "large:1:-2:3", " 1:2"]) {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
