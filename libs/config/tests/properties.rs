//! No input panics, and what is accepted survives being written and read again.

use std::sync::LazyLock;

use holdfast_config::{Configuration, Schema};
use proptest::prelude::*;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::load().unwrap());

/// Words of the language, so that random texts reach deep into the models.
const WORDS: [&str; 44] = [
    "system",
    "host-name",
    "chassis",
    "redundancy",
    "graceful-switchover",
    "member-id",
    "0",
    "7",
    "routing-options",
    "autonomous-system",
    "65001",
    "static",
    "route",
    "10.0.0.0/8",
    "next-hop",
    "10.0.0.1",
    "discard",
    "protocols",
    "bgp",
    "group",
    "G",
    "peer-as",
    "neighbor",
    "2001:db8::1",
    "hold-time",
    "policy-options",
    "policy-statement",
    "term",
    "from",
    "then",
    "accept",
    "route-filter",
    "upto",
    "/24",
    "community",
    "members",
    "65000:1",
    "inactive:",
    "{",
    "}",
    ";",
    "[",
    "]",
    "\"a b\"",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z][A-Za-z0-9_-]{0,12}", "[ -~]{1,12}", "\\PC{1,6}"]
        .prop_map(|name| name.replace(['\u{fffe}', '\u{ffff}'], "x"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

prop_compose! {
    /// A valid configuration with random names, values, order and inactive parts.
    fn valid()(
        groups in prop::collection::btree_map(name(), (1u32..65000, 3u32..65535, any::<bool>()), 1..5),
        routes in prop::collection::btree_map(any::<u16>(), (any::<bool>(), any::<u32>()), 0..8),
        lists in prop::collection::btree_map(name(), prop::collection::btree_set(any::<u8>(), 0..5), 0..4),
        description in "[ -~]{0,30}",
    ) -> String {
        let mut text = String::new();
        for (name, members) in &lists {
            let members: String = members.iter().map(|octet| format!("{octet}.0.0.0/8; ")).collect();
            text += &format!("policy-options {{ prefix-list {} {{ {members} }} }}\n", quoted(name));
        }
        for (index, (name, (asn, hold, inactive))) in groups.iter().enumerate() {
            let inactive = if *inactive { "inactive: " } else { "" };
            text += &format!(
                "protocols bgp group {} {{ peer-as {asn}; hold-time {hold}; {inactive}neighbor 10.0.{index}.1; neighbor 10.0.{index}.2 {{ description {}; }} }}\n",
                quoted(name), quoted(&description),
            );
        }
        text += "routing-options { autonomous-system 65001; static {";
        for (net, (discard, preference)) in &routes {
            let way = if *discard { "discard".to_owned() } else { format!("next-hop [ 10.0.0.1 10.0.0.{} ]", 2 + net % 200) };
            text += &format!("route 10.{}.{}.0/24 {{ {way}; preference {preference}; }}\n", net >> 8, net & 255);
        }
        text + "} }"
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Configuration::parse("x", &bytes, &SCHEMA);
    }

    #[test]
    fn arbitrary_words_never_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
        if let Ok(parsed) = Configuration::parse("x", words.join(" "), &SCHEMA) {
            let again = Configuration::parse("x", parsed.to_text(), &SCHEMA).unwrap();
            prop_assert_eq!(again.to_text(), parsed.to_text());
        }
    }

    #[test]
    fn a_mutilated_text_never_panics(cut in 0usize..3000, insert in "[ -~]{0,4}", length in 0usize..40) {
        let full = include_str!("data/full.conf");
        let start = cut.min(full.len());
        let end = (start + length).min(full.len());
        let _ = Configuration::parse("x", format!("{}{insert}{}", &full[..start], &full[end..]), &SCHEMA);
    }

    #[test]
    fn text_and_digest_survive_a_round_trip(text in valid()) {
        let parsed = Configuration::parse("x", &text, &SCHEMA).map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{text}")))?;
        let again = Configuration::parse("x", parsed.to_text(), &SCHEMA).map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{}", parsed.to_text())))?;
        prop_assert_eq!(again.to_text(), parsed.to_text());
        prop_assert_eq!(again.to_set(), parsed.to_set());
        prop_assert_eq!(again.to_json(), parsed.to_json());
        prop_assert_eq!(again.compile(1), parsed.compile(1));
    }
}
