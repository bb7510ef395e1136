//! Values: what YANG's patterns cannot say (octets, host bits, octet ranges of communities), and each value's canonical
//! spelling, so that two spellings of one prefix are one configuration.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::limits;

/// The values of one enumeration, each with its help.
type Values = &'static [(&'static str, &'static str)];

/// Enumerations of `holdfast-types`; libyang refuses what is not in the module, this gives the message.
const ENUMERATIONS: [(&str, Values); 14] = [
    ("peer-type", &[("internal", "Neighbors of our own AS"), ("external", "Neighbors of other ASs")]),
    ("family-name", &[("inet", "IPv4"), ("inet6", "IPv6")]),
    (
        "route-protocol",
        &[
            ("bgp", "Routes from neighbors"),
            ("static", "Static routes"),
            ("direct", "Networks of our interfaces"),
            ("aggregate", "Aggregates and generated routes"),
        ],
    ),
    (
        "community-operation",
        &[("add", "Add what is missing"), ("delete", "Remove what is there"), ("set", "Replace all communities")],
    ),
    (
        "list-match",
        &[("exact", "A member itself"), ("orlonger", "A member or within it"), ("longer", "Within a member")],
    ),
    (
        "number-comparison",
        &[("equal", "Just this number"), ("orhigher", "This number or more"), ("orlower", "This number or less")],
    ),
    ("origin-name", &[("igp", "From an interior protocol"), ("egp", "From EGP"), ("incomplete", "By other means")]),
    ("route-kind", &[("external", "From neighbors of other ASs"), ("internal", "From neighbors of our own AS")]),
    ("policy-disposition", &[("accept", "Accept the route"), ("reject", "Reject the route")]),
    ("next-step", &[("term", "Go on with the next term"), ("policy", "Go on with the next policy")]),
    ("rib-name", &[("inet.0", "IPv4 unicast routes"), ("inet6.0", "IPv6 unicast routes")]),
    ("tcp-reset-mode", &[("drop-all-tcp", "Send no TCP reset at all")]),
    (
        "bfd-session-mode",
        &[
            ("automatic", "One hop to external neighbors without multihop and to static next hops, several to others"),
            ("single-hop", "The other end is on a link of ours (RFC 5881)"),
            ("multihop", "Routers may lie between (RFC 5883)"),
        ],
    ),
    (
        "bfd-algorithm",
        &[
            ("keyed-sha-1", "SHA1 with a key"),
            ("meticulous-keyed-sha-1", "SHA1 with a key, and no packet is believed twice"),
        ],
    ),
];

#[cfg(test)]
/// Text types that need no more than their pattern in YANG.
const PATTERN_ONLY: [&str; 5] = ["identifier", "host-name", "interface-name", "description", "authentication-key"];

/// What is wrong with a value: the message, and what is allowed.
pub(crate) type Refusal = (String, String);

#[cfg(test)]
pub(crate) fn is_known(type_name: &str) -> bool {
    let checked = [
        "ipv4-address",
        "ip-address",
        "ip-prefix",
        "ipv4-interface-address",
        "ipv6-interface-address",
        "policy-next-hop",
        "community-member",
        "as-path-segment",
        "as-path-expression",
        "adjustment",
        "prefix-match",
        "minutes-or-forever",
        "shutdown-message",
    ];
    checked.contains(&type_name)
        || PATTERN_ONLY.contains(&type_name)
        || ENUMERATIONS.iter().any(|(name, _)| *name == type_name)
}

/// The values of an enumeration, each with its help.
pub(crate) fn enumeration(type_name: &str) -> Option<Values> {
    ENUMERATIONS.iter().find(|(name, _)| *name == type_name).map(|(_, values)| *values)
}

/// The values of an enumeration as messages name them.
pub(crate) fn joined(values: Values) -> String {
    values.iter().map(|(value, _)| *value).collect::<Vec<_>>().join(", ")
}

/// A text value in its canonical spelling.
pub(crate) fn canonical(type_name: &str, value: &str) -> Result<String, Refusal> {
    if let Some(values) = enumeration(type_name) {
        return match values.iter().any(|(known, _)| *known == value) {
            true => Ok(value.to_owned()),
            false => refuse(format!("{value:?} is not a value of this statement"), joined(values)),
        };
    }
    match type_name {
        "ipv4-address" => ipv4_address(value),
        "ip-address" => ip_address(value),
        "ip-prefix" => prefix(value),
        "ipv4-interface-address" => interface_address(value, true),
        "ipv6-interface-address" => interface_address(value, false),
        "policy-next-hop" if ["self", "peer-address", "discard", "reject"].contains(&value) => Ok(value.to_owned()),
        "policy-next-hop" => policy_next_hop(value),
        "community-member" => community(value),
        "as-path-segment" => as_path_segment(value),
        "as-path-expression" => as_path_expression(value),
        "adjustment" => adjustment(value),
        "prefix-match" => prefix_match(value),
        "minutes-or-forever" => minutes_or_forever(value),
        "description" => Ok(value.to_owned()),
        "shutdown-message" => shutdown_message(value),
        _ if value.is_empty() => refuse("an empty name".into(), "a name of 1 or more characters"),
        _ => Ok(value.to_owned()),
    }
}

/// A number in its canonical spelling; its range is YANG's to check.
pub(crate) fn number(value: &str) -> Result<String, Refusal> {
    match value.parse::<u64>() {
        Ok(number) if value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number.to_string()),
        _ => refuse(format!("{value:?} is not a number"), "a whole number"),
    }
}

fn refuse<T>(message: String, allowed: impl Into<String>) -> Result<T, Refusal> {
    Err((message, allowed.into()))
}

fn minutes_or_forever(value: &str) -> Result<String, Refusal> {
    match value.parse::<u32>() {
        _ if value == "forever" => Ok(value.to_owned()),
        Ok(minutes) if (1..=limits::IDLE_MINUTES_MAX).contains(&minutes) => Ok(minutes.to_string()),
        _ => refuse(
            format!("{value:?} is no such time"),
            format!("1 to {} minutes, or forever", limits::IDLE_MINUTES_MAX),
        ),
    }
}

fn ipv4_address(value: &str) -> Result<String, Refusal> {
    match value.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => refuse(format!("{value:?} is not an IPv4 address"), "an IPv4 address such as 10.0.0.1"),
    }
}

fn ip_address(value: &str) -> Result<String, Refusal> {
    let allowed = "an IPv4 or IPv6 address such as 10.0.0.1 or 2001:db8::1";
    match value.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) if value.contains('/') => {
            refuse(format!("{value:?} is a prefix"), format!("{allowed}, without a length"))
        }
        Err(_) => refuse(format!("{value:?} is not an IP address"), allowed),
    }
}

/// Whether packets may be sent to one router by this address.
pub(crate) fn leads_somewhere(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// A neighbour takes a route with another one for withdrawn (RFC 4271 §6.3, RFC 7606 §7.3).
fn policy_next_hop(value: &str) -> Result<String, Refusal> {
    let others = |allowed: String| format!("self, peer-address, discard, reject, or {allowed}");
    let address = ip_address(value).map_err(|(message, allowed)| (message, others(allowed)))?;
    if address.parse().is_ok_and(leads_somewhere) {
        return Ok(address);
    }
    refuse(format!("{value} is no address of one router"), others("a unicast address".to_owned()))
}

fn prefix(value: &str) -> Result<String, Refusal> {
    let allowed = "a prefix such as 10.0.0.0/8 or 2001:db8::/32";
    // As in Junos an address alone is its host prefix.
    if let Ok(address) = value.parse::<IpAddr>() {
        return Ok(IpNet::from(address).to_string());
    }
    match value.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => Ok(net.to_string()),
        Ok(net) => refuse(
            format!("{value:?} has bits set behind its length; the prefix is {}", net.trunc()),
            format!("{}", net.trunc()),
        ),
        Err(_) => refuse(format!("{value:?} is not a prefix"), allowed),
    }
}

fn interface_address(value: &str, ipv4: bool) -> Result<String, Refusal> {
    let allowed = if ipv4 {
        "an IPv4 address with length such as 10.0.0.1/24"
    } else {
        "an IPv6 address with length such as 2001:db8::1/64"
    };
    match value.parse::<IpNet>() {
        Ok(net) if net.addr().is_ipv4() != ipv4 => refuse(format!("{value:?} is of the other family"), allowed),
        Ok(net) if net.addr().is_multicast() || net.addr().is_unspecified() => {
            refuse(format!("{value:?} cannot be an interface's own"), allowed)
        }
        Ok(net) => Ok(net.to_string()),
        Err(_) if value.parse::<IpAddr>().is_ok() => refuse(format!("{value:?} has no prefix length"), allowed),
        Err(_) => refuse(format!("{value:?} is not an interface address"), allowed),
    }
}

/// Numbers lose their leading zeros, so that one community is written in one way; patterns stay as they are.
fn community(value: &str) -> Result<String, Refusal> {
    if let Err(error) = holdfast_policy::check_community_member(value) {
        let allowed = holdfast_policy::COMMUNITY_REQUIRED;
        return refuse(format!("{value:?} is not a community: {error}"), allowed);
    }
    let field = |field: &str| number(field).unwrap_or_else(|_| field.to_owned());
    let plain = value.bytes().all(|letter| letter.is_ascii_alphanumeric() || b":-".contains(&letter));
    let hexadecimal = value.starts_with("extended:");
    Ok(if plain && !hexadecimal { value.split(':').map(field).collect::<Vec<_>>().join(":") } else { value.to_owned() })
}

fn as_path_expression(value: &str) -> Result<String, Refusal> {
    match holdfast_policy::AsPathExpression::parse(value) {
        Ok(_) => Ok(value.split_whitespace().collect::<Vec<_>>().join(" ")),
        Err(error) => refuse(
            format!("{value:?} is not an expression over AS paths: {error}"),
            "AS numbers and ranges (64512-65534) with spaces between them, . for any, * + ? {m,n}, |, ( ), [ ]; () for the empty path",
        ),
    }
}

/// Whether a value that begins with this word has a second one.
pub(crate) fn has_second_word(type_name: &str, first: &str) -> bool {
    match type_name {
        "prefix-match" => matches!(first, "upto" | "prefix-length-range"),
        "adjustment" => matches!(first, "add" | "subtract"),
        _ => false,
    }
}

/// Whether values may have two words; they are written without quotes.
pub(crate) fn is_of_words(type_name: &str) -> bool {
    matches!(type_name, "prefix-match" | "adjustment")
}

fn adjustment(value: &str) -> Result<String, Refusal> {
    let (how, amount) = value.split_once(' ').unwrap_or(("", value));
    let amount = number(amount.trim()).ok().filter(|amount| amount.parse::<u32>().is_ok());
    match (how, amount) {
        ("", Some(amount)) => Ok(amount),
        ("add" | "subtract", Some(amount)) => Ok(format!("{how} {amount}")),
        _ => refuse(
            format!("{value:?} is not a number or a change of one"),
            "NUMBER, add NUMBER, subtract NUMBER (0 to 4294967295)",
        ),
    }
}

fn as_path_segment(value: &str) -> Result<String, Refusal> {
    let allowed =
        format!("1 to {} AS numbers (1 to 4294967295) with spaces between them", holdfast_policy::limits::PREPEND_MAX);
    let numbers: Option<Vec<u32>> =
        value.split_whitespace().map(|word| word.parse().ok().filter(|asn| *asn != 0)).collect();
    match numbers {
        Some(numbers) if (1..=holdfast_policy::limits::PREPEND_MAX).contains(&numbers.len()) => {
            Ok(numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
        }
        _ => refuse(format!("{value:?} is not a list of AS numbers"), allowed),
    }
}

/// RFC 9003 §2 counts octets, YANG characters; and it is a line, for others' logs.
fn shutdown_message(value: &str) -> Result<String, Refusal> {
    let allowed = format!("1 to {} octets without control characters", limits::SHUTDOWN_MESSAGE_OCTETS_MAX);
    if value.is_empty() || value.len() > limits::SHUTDOWN_MESSAGE_OCTETS_MAX {
        return refuse(format!("a message of {} octets", value.len()), allowed);
    }
    if value.chars().any(char::is_control) {
        return refuse("a message with control characters".into(), allowed);
    }
    Ok(value.to_owned())
}

fn prefix_match(value: &str) -> Result<String, Refusal> {
    let length = |text: &str| {
        let digits = text.strip_prefix('/').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        digits.parse::<u8>().ok().filter(|length| *length <= 128)
    };
    let upto = value.strip_prefix("upto ").and_then(length);
    let range = value.strip_prefix("prefix-length-range ").and_then(|range| {
        let (shortest, longest) = range.split_once('-')?;
        Some((length(shortest)?, length(longest)?))
    });
    match (value, upto, range) {
        ("exact" | "orlonger" | "longer", ..) => Ok(value.to_owned()),
        (_, Some(length), _) => Ok(format!("upto /{length}")),
        (_, _, Some((shortest, longest))) => Ok(format!("prefix-length-range /{shortest}-/{longest}")),
        _ => refuse(
            format!("{value:?} says nothing about the length"),
            "exact, orlonger, longer, upto /LENGTH, prefix-length-range /FROM-/TO",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_become_canonical() {
        for (kind, written, canonical) in [
            ("ip-prefix", "2001:DB8:0::/32", "2001:db8::/32"),
            ("ip-prefix", "10.0.0.1", "10.0.0.1/32"),
            ("ip-address", "2001:db8:0:0::1", "2001:db8::1"),
            ("ipv6-interface-address", "2001:DB8::1/64", "2001:db8::1/64"),
            ("community-member", "065:1", "65:1"),
            ("as-path-segment", " 65000  65000 ", "65000 65000"),
            ("prefix-match", "upto /024", "upto /24"),
            ("prefix-match", "prefix-length-range /08-/24", "prefix-length-range /8-/24"),
            ("adjustment", "add 010", "add 10"),
            ("adjustment", "7", "7"),
            ("community-member", "large:065:01:2", "large:65:1:2"),
            ("community-member", "65000:1[0-9]*", "65000:1[0-9]*"),
            ("community-member", "extended:0002fde800000064", "extended:0002fde800000064"),
            ("community-member", "blackhole", "blackhole"),
            ("as-path-expression", " .*  65000 ", ".* 65000"),
        ] {
            assert_eq!(super::canonical(kind, written).as_deref(), Ok(canonical), "{kind} {written}");
        }
        assert_eq!(number("007").as_deref(), Ok("7"));
    }

    #[test]
    fn refusals_name_the_remedy() {
        for (kind, written, part) in [
            ("ip-prefix", "10.1.2.3/8", "the prefix is 10.0.0.0/8"),
            ("ip-prefix", "10.0.0.0/33", "not a prefix"),
            ("ipv4-interface-address", "224.0.0.1/24", "cannot be an interface's own"),
            ("ipv6-interface-address", "::/64", "cannot be an interface's own"),
            ("ipv6-interface-address", "10.0.0.1/24", "of the other family"),
            ("ip-address", "10.0.0.0/8", "is a prefix"),
            ("ip-address", "10.0.0.256", "not an IP address"),
            ("policy-next-hop", "10.0.0.256", "not an IP address"),
            ("policy-next-hop", "224.0.0.5", "no address of one router"),
            ("policy-next-hop", "ff02::1", "no address of one router"),
            ("policy-next-hop", "0.0.0.0", "no address of one router"),
            ("policy-next-hop", "::1", "no address of one router"),
            ("ipv4-interface-address", "10.0.0.1", "no prefix length"),
            ("ipv4-interface-address", "::1/128", "other family"),
            ("community-member", "65536:1", "not a community"),
            ("community-member", "large:1:2", "not a community"),
            ("as-path-segment", "0", "not a list of AS numbers"),
            ("prefix-match", "upto /129", "says nothing"),
            ("prefix-match", "prefix-length-range /8", "says nothing"),
            ("adjustment", "double 3", "not a number"),
            ("adjustment", "add 4294967296", "not a number"),
            ("as-path-expression", "_65000_", "at character 1: an AS number"),
            ("community-member", "65000:1[", "at character 9"),
            ("peer-type", "inside", "not a value"),
            ("identifier", "", "empty name"),
        ] {
            let (message, allowed) = super::canonical(kind, written).unwrap_err();
            assert!(message.contains(part), "{kind} {written}: {message}");
            assert!(!allowed.is_empty());
        }
        for wrong in ["", "-1", "+1", "1.5", "99999999999999999999"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
