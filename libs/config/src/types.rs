//! Values: what YANG's patterns cannot say (octets, host bits, octet ranges of communities), and each value's canonical
//! spelling, so that two spellings of one prefix are one configuration.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::limits;

/// The values of one enumeration, each with its help.
type Values = &'static [(&'static str, &'static str)];

/// Enumerations of `holdfast-types`; libyang refuses what is not in the module, this gives the message.
const ENUMERATIONS: [(&str, Values); 7] = [
    ("peer-type", &[("internal", "Neighbors of our own AS"), ("external", "Neighbors of other ASs")]),
    ("family-name", &[("inet", "IPv4"), ("inet6", "IPv6")]),
    (
        "route-protocol",
        &[("bgp", "Routes from neighbors"), ("static", "Static routes"), ("direct", "Networks of our interfaces")],
    ),
    (
        "community-operation",
        &[("add", "Add what is missing"), ("delete", "Remove what is there"), ("set", "Replace all communities")],
    ),
    ("next-step", &[("term", "Go on with the next term"), ("policy", "Go on with the next policy")]),
    ("rib-name", &[("inet.0", "IPv4 unicast routes"), ("inet6.0", "IPv6 unicast routes")]),
    ("tcp-reset-mode", &[("drop-all-tcp", "Send no TCP reset at all")]),
];

#[cfg(test)]
/// Text types that need no more than their pattern in YANG.
const PATTERN_ONLY: [&str; 4] = ["identifier", "host-name", "interface-name", "description"];

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
        "next-hop-or-self",
        "community-member",
        "as-path-segment",
        "prefix-match",
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
        "next-hop-or-self" if value == "self" => Ok(value.to_owned()),
        "next-hop-or-self" => ip_address(value).map_err(|(message, allowed)| (message, format!("self, or {allowed}"))),
        "community-member" => community(value),
        "as-path-segment" => as_path_segment(value),
        "prefix-match" => prefix_match(value),
        "description" => Ok(value.to_owned()),
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
        Ok(net) if net.addr().is_ipv4() == ipv4 => Ok(net.to_string()),
        Ok(_) => refuse(format!("{value:?} is of the other family"), allowed),
        Err(_) if value.parse::<IpAddr>().is_ok() => refuse(format!("{value:?} has no prefix length"), allowed),
        Err(_) => refuse(format!("{value:?} is not an interface address"), allowed),
    }
}

/// Standard communities are 16:16 bits (RFC 1997), large ones 32:32:32 (RFC 8092).
fn community(value: &str) -> Result<String, Refusal> {
    let allowed = "65000:100 (each 0 to 65535), large:65000:1:2 (each 0 to 4294967295), no-export, no-advertise, no-export-subconfed";
    let numbers =
        |text: &str| text.split(':').map(|part| number(part).ok()?.parse::<u32>().ok()).collect::<Option<Vec<u32>>>();
    let parsed = match value.strip_prefix("large:") {
        Some(rest) => numbers(rest).filter(|parts| parts.len() == 3),
        None if ["no-export", "no-advertise", "no-export-subconfed"].contains(&value) => return Ok(value.to_owned()),
        None => numbers(value).filter(|parts| parts.len() == 2 && parts.iter().all(|part| *part <= 0xffff)),
    };
    match parsed {
        Some(parts) => {
            let text = parts.iter().map(u32::to_string).collect::<Vec<_>>().join(":");
            Ok(if value.starts_with("large:") { format!("large:{text}") } else { text })
        }
        None => refuse(format!("{value:?} is not a community"), allowed),
    }
}

fn as_path_segment(value: &str) -> Result<String, Refusal> {
    let allowed = format!("1 to {} AS numbers (1 to 4294967295) with spaces between them", limits::PREPEND_MAX);
    let numbers: Option<Vec<u32>> =
        value.split_whitespace().map(|word| word.parse().ok().filter(|asn| *asn != 0)).collect();
    match numbers {
        Some(numbers) if (1..=limits::PREPEND_MAX).contains(&numbers.len()) => {
            Ok(numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
        }
        _ => refuse(format!("{value:?} is not a list of AS numbers"), allowed),
    }
}

fn prefix_match(value: &str) -> Result<String, Refusal> {
    let upto =
        value.strip_prefix("upto /").and_then(|length| length.parse::<u8>().ok()).filter(|length| *length <= 128);
    match (value, upto) {
        ("exact" | "orlonger" | "longer", _) => Ok(value.to_owned()),
        (_, Some(length)) => Ok(format!("upto /{length}")),
        _ => refuse(format!("{value:?} says nothing about the length"), "exact, orlonger, longer, upto /LENGTH"),
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
            ("ip-address", "10.0.0.0/8", "is a prefix"),
            ("ip-address", "10.0.0.256", "not an IP address"),
            ("ipv4-interface-address", "10.0.0.1", "no prefix length"),
            ("ipv4-interface-address", "::1/128", "other family"),
            ("community-member", "65536:1", "not a community"),
            ("community-member", "large:1:2", "not a community"),
            ("as-path-segment", "0", "not a list of AS numbers"),
            ("prefix-match", "upto /129", "says nothing"),
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
