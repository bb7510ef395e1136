//! A policy as an operator would write it, out of a fuzzer's octets.

use super::world::{ADDRESSES, AS_PATHS, MEMBERS, PLAIN, PREFIX_LISTS, PREFIXES};
use std::fmt::Write;

/// Octets as decisions. When they are used up, every decision is the first one: so a text ends.
pub(crate) struct Choices<'i> {
    rest: &'i [u8],
}

impl<'i> Choices<'i> {
    pub fn new(input: &'i [u8]) -> Choices<'i> {
        Choices { rest: input }
    }

    /// A number below `limit`, which is at most 256.
    pub fn below(&mut self, limit: usize) -> usize {
        let Some((octet, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        usize::from(*octet) % limit
    }

    pub fn of<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len())]
    }

    pub fn maybe(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A number of a field: small, so that numbers meet, or at the end of the range.
    pub fn number(&mut self) -> u32 {
        *self.of(&[0, 1, 2, 3, 100, 101, u32::MAX - 1, u32::MAX])
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// The community lists of every text: names, and the places of their members in [`MEMBERS`]. The first three are plain.
const COMMUNITY_LISTS: [(&str, &[usize], bool); 8] = [
    ("one", &[0], false),
    ("both", &[0, 1], false),
    ("kinds", &[2, 3, 4, 5], false),
    ("any", &[6], false),
    ("like", &[8, 10], false),
    ("other", &[9, 11, 12], true),
    ("not-one", &[0], true),
    ("ones", &[7], false),
];

/// A text with up to three policies of up to four terms; a policy asks later ones only.
pub(super) fn policies(choices: &mut Choices<'_>) -> String {
    let mut text = String::from("policy-options {\n");
    for (name, prefixes) in PREFIX_LISTS {
        let members: String = prefixes.iter().map(|prefix| format!(" {prefix};")).collect();
        text += &format!("prefix-list {name} {{{members} }}\n");
    }
    for (name, members, inverted) in COMMUNITY_LISTS {
        debug_assert!(members.iter().all(|member| *member < PLAIN) || !["one", "both", "kinds"].contains(&name));
        let members: Vec<String> = members.iter().map(|member| format!("\"{}\"", MEMBERS[*member].0)).collect();
        let inverted = if inverted { " invert-match;" } else { "" };
        text += &format!("community {name} {{ members [ {} ];{inverted} }}\n", members.join(" "));
    }
    for (name, expression, _) in AS_PATHS {
        text += &format!("as-path {name} \"{expression}\";\n");
    }
    text += "as-path-group some { as-path a \"1 .*\"; as-path b \"()\"; }\nas-path-group nothing { }\n";
    for number in 0..3 {
        text += &format!("policy-statement S{number} {{\n");
        for term in 0..choices.below(5) {
            writeln!(text, "term t{term} {{ {}}}", body(number, choices)).expect("a text grows");
        }
        text += &body(number, choices);
        text += "}\n";
    }
    text + "}\n"
}

/// Statements that have one value, in `from` and in `then`: stated twice, they are a mistake.
const SINGLE: [&[&str]; 2] = [
    &["origin", "metric", "local-preference", "preference", "route-type", "family"],
    &[
        "local-preference",
        "metric",
        "origin",
        "preference",
        "tag",
        "next-hop",
        "as-path-prepend",
        "as-path-expand",
        "default-action",
    ],
];

/// Adds a statement, unless it, or another value of it, is there.
fn say(said: &mut Vec<String>, statement: String, single: &[&str]) {
    let word = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let single = single.contains(&word(&statement).as_str());
    if !said.iter().any(|other| *other == statement || single && word(other) == word(&statement)) {
        said.push(statement);
    }
}

fn body(number: usize, choices: &mut Choices<'_>) -> String {
    let (mut conditions, mut actions) = (Vec::new(), Vec::new());
    for _ in 0..choices.below(4) {
        say(&mut conditions, condition(number, choices), SINGLE[0]);
    }
    let target =
        if choices.below(6) == 1 { format!("to neighbor {}; ", choices.of(&ADDRESSES)) } else { String::new() };
    for _ in 0..choices.below(4) {
        say(&mut actions, action(choices), SINGLE[1]);
    }
    actions.push((*choices.of(&["", "accept; ", "reject; ", "next policy; ", "next term; "])).to_owned());
    let block = |name: &str, statements: &[String]| match statements.concat() {
        text if text.is_empty() => text,
        text => format!("{name} {{ {text}}} "),
    };
    block("from", &conditions) + &target + &block("then", &actions)
}

const COMPARISONS: [&str; 3] = ["equal", "orhigher", "orlower"];

fn condition(number: usize, choices: &mut Choices<'_>) -> String {
    let asked: &[&str] = [&["S1", "S2"][..], &["S2"], &[]][number];
    match choices.below(18) {
        0 => format!("protocol {}; ", choices.of(&["bgp", "static", "direct", "aggregate"])),
        1 => format!("prefix-list {}; ", choices.of(&PREFIX_LISTS).0),
        2 => format!(
            "prefix-list-filter {} {}; ",
            choices.of(&PREFIX_LISTS).0,
            choices.of(&["exact", "orlonger", "longer"])
        ),
        3 | 4 => route_filter(choices),
        5 => format!("community {}; ", choices.of(&COMMUNITY_LISTS).0),
        6 => format!("community-count {} {}; ", choices.below(5), choices.of(&COMPARISONS)),
        7 => format!("as-path {}; ", choices.of(&AS_PATHS).0),
        8 => format!("as-path-group {}; ", choices.of(&["some", "nothing"])),
        9 => format!("as-path-calc-length {} {}; ", choices.below(5), choices.of(&COMPARISONS)),
        10 => format!("neighbor {}; ", choices.of(&ADDRESSES)),
        11 => format!("next-hop {}; ", choices.of(&ADDRESSES)),
        12 => format!("origin {}; ", choices.of(&["igp", "egp", "incomplete"])),
        13 => format!("{} {}; ", choices.of(&["metric", "local-preference", "tag"]), choices.number()),
        14 => format!("preference {}; ", choices.of(&[0, 5, 170, 255])),
        15 => format!("route-type {}; ", choices.of(&["external", "internal"])),
        16 => format!("family {}; ", choices.of(&["inet", "inet6"])),
        _ if asked.is_empty() => String::new(),
        _ => format!("policy {}; ", choices.of(asked)),
    }
}

fn route_filter(choices: &mut Choices<'_>) -> String {
    let prefix = choices.of(&PREFIXES);
    let own: usize = prefix.split_once('/').and_then(|(_, length)| length.parse().ok()).expect("a length");
    let most = if prefix.contains(':') { 128 } else { 32 };
    let longest = own + choices.below(most - own + 1);
    let shortest = own + choices.below(longest - own + 1);
    match choices.below(5) {
        0 => format!("route-filter {prefix} exact; "),
        1 => format!("route-filter {prefix} orlonger; "),
        2 => format!("route-filter {prefix} longer; "),
        3 => format!("route-filter {prefix} upto /{longest}; "),
        _ => format!("route-filter {prefix} prefix-length-range /{shortest}-/{longest}; "),
    }
}

fn action(choices: &mut Choices<'_>) -> String {
    match choices.below(10) {
        0 | 1 => {
            let change = choices.of(&["", "add ", "subtract "]);
            format!("{} {change}{}; ", choices.of(&["metric", "local-preference"]), choices.number())
        }
        2 => format!("origin {}; ", choices.of(&["igp", "egp", "incomplete"])),
        3 => format!("preference {}; ", choices.of(&[0, 5, 170, 255])),
        4 => format!("tag {}; ", choices.number()),
        5 => format!(
            "next-hop {}; ",
            choices.of(&["self", "peer-address", "discard", "reject", ADDRESSES[0], ADDRESSES[3]])
        ),
        6 => match choices.below(3) {
            0 => format!("community add {}; ", choices.of(&COMMUNITY_LISTS[..3]).0),
            1 => format!("community set {}; ", choices.of(&COMMUNITY_LISTS[..3]).0),
            _ => format!("community delete {}; ", choices.of(&COMMUNITY_LISTS).0),
        },
        7 => format!("as-path-prepend \"{}\"; ", choices.of(&["1", "2 2", "3 1"])),
        8 => format!("as-path-expand last-as count {}; ", choices.of(&[1, 2, 31, 32])),
        _ => format!("default-action {}; ", choices.of(&["accept", "reject"])),
    }
}
