//! Editing: statement by statement, whole or not at all, and back again.

use std::sync::LazyLock;

use holdfast_config::{Configuration, Draft, EditError, Load, Purpose, Rearrange, Schema};
use proptest::prelude::*;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::load().unwrap());

const BASE: &str = "system host-name r1;
routing-options { router-id 10.0.0.1; autonomous-system 65001; static { route 10.1.0.0/16 next-hop 10.0.0.2; } }
protocols bgp group EXT { peer-as 65002; import [ A B ]; neighbor 10.0.0.2 { hold-time 30; } neighbor 10.0.0.3; }
";

fn draft(text: &str) -> Draft {
    Draft::parse("t", text, &SCHEMA).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn text(draft: &Draft) -> String {
    draft.to_text(&SCHEMA)
}

#[track_caller]
fn set(draft: &mut Draft, words: &str) {
    draft.set("", words, &SCHEMA).unwrap_or_else(|error| panic!("{words}: {error}"));
}

#[track_caller]
fn refused(result: Result<(), EditError>) -> String {
    result.expect_err("it is a mistake").to_string()
}

#[test]
fn set_adds_replaces_and_stands_in_the_models_order() {
    let mut draft = Draft::empty();
    for words in [
        "protocols bgp group EXT neighbor 10.0.0.2 hold-time 30",
        "routing-options autonomous-system 65001",
        "routing-options autonomous-system 65009",
        "system host-name r1",
        "protocols bgp group EXT import [ A B ]",
        "protocols bgp group EXT import [ B C ]",
        "policy-options prefix-list P 10.0.0.0/8",
        "interfaces eth0 unit 0 family inet address 10.0.0.1/24",
        "routing-options graceful-restart",
    ] {
        set(&mut draft, words);
    }
    let expected = "system {
    host-name r1;
}
interfaces {
    eth0 {
        unit 0 {
            family {
                inet {
                    address 10.0.0.1/24;
                }
            }
        }
    }
}
routing-options {
    autonomous-system 65009;
    graceful-restart;
}
protocols {
    bgp {
        group EXT {
            import [ A B C ];
            neighbor 10.0.0.2 {
                hold-time 30;
            }
        }
    }
}
policy-options {
    prefix-list P {
        10.0.0.0/8;
    }
}
";
    assert_eq!(text(&draft), expected);
}

#[test]
fn set_below_a_level_and_with_abbreviated_names() {
    let mut draft = draft(BASE);
    let level = draft.level("", "prot bgp gro EXT", &SCHEMA).unwrap();
    assert_eq!(level, "protocols bgp group EXT");
    draft.set(&level, "nei 10.0.0.9 hold 60", &SCHEMA).unwrap();
    assert!(text(&draft).contains("neighbor 10.0.0.9 {\n                hold-time 60;"), "{}", text(&draft));
    assert_eq!(draft.above(&level, &SCHEMA).unwrap(), "protocols bgp");
    assert_eq!(draft.above("system", &SCHEMA).unwrap(), "");
    draft.delete(&level, "neighbor 10.0.0.9", &SCHEMA).unwrap();
    assert_eq!(text(&draft), text(&self::draft(BASE)));
}

#[test]
fn delete_takes_all_that_is_named_and_what_held_nothing_else() {
    let deleted = |words: &str| {
        let mut draft = draft(BASE);
        draft.delete("", words, &SCHEMA).unwrap_or_else(|error| panic!("{words}: {error}"));
        text(&draft)
    };
    assert!(!deleted("system host-name").contains("system {"));
    assert!(!deleted("system host-name r1").contains("system {"));
    assert!(!deleted("routing-options static route").contains("static"));
    assert!(!deleted("routing-options static").contains("static"));
    let text = deleted("protocols bgp group EXT import A");
    assert!(text.contains("import [ B ];") || text.contains("import B;"), "{text}");
    assert!(!deleted("protocols bgp group EXT import").contains("import"));
    assert!(deleted("protocols bgp group EXT neighbor 10.0.0.2 hold-time").contains("neighbor 10.0.0.2;"));
    let mut everything = draft(BASE);
    everything.delete("", "", &SCHEMA).unwrap();
    assert_eq!(text_of(&everything), "");
    let mut level = draft(BASE);
    level.delete("protocols bgp group EXT", "", &SCHEMA).unwrap();
    assert!(text_of(&level).contains("group EXT;"), "{}", text_of(&level));
}

fn text_of(draft: &Draft) -> String {
    text(draft)
}

#[test]
fn mistakes_have_their_column_and_change_nothing() {
    let mut draft = draft(BASE);
    let before = text(&draft);
    let mut mistake = |words: &str| refused(draft.set("protocols bgp", words, &SCHEMA));
    let unknown = mistake("group EXT neighbour 10.0.0.7");
    let begins =
        "column 11: [protocols bgp group EXT] unknown statement \"neighbour\"; did you mean neighbor?; allowed: type, ";
    assert!(unknown.starts_with(begins) && unknown.ends_with(", neighbor"), "{unknown}");
    assert!(mistake("group NEW hold-time 2").contains("a hold time is 0"), "{}", mistake("group NEW hold-time 2"));
    assert!(mistake("group NEW type inside").contains("column 16: "));
    assert!(mistake("group NEW neighbor 10.0.0.700").contains("not an IP address"));
    assert!(mistake("group").contains("the name is missing"));
    assert!(mistake("hold-time").contains("the value is missing"));
    assert!(mistake("group NEW { passive; }").contains("one statement without { }"));
    assert!(mistake("group NEW; group OTHER").contains("one statement"));
    assert!(mistake("group \"NEW").contains("closing quote"));
    assert!(mistake("ho 3 4").contains("one word too many"));
    assert!(refused(draft.set("", "inactive: system host-name r2", &SCHEMA)).contains("deactivate"));
    assert_eq!(
        refused(draft.delete("", "protocols bgp group NONE", &SCHEMA)),
        "[protocols bgp group NONE] is not in the configuration; show displays what is"
    );
    assert!(refused(draft.delete("", "system host-name r2", &SCHEMA)).contains("[system host-name r2] is not"));
    assert!(refused(draft.delete("", "system hostname", &SCHEMA)).contains("did you mean host-name?"));
    assert!(refused(draft.level("", "system host-name", &SCHEMA).map(drop)).contains("edit goes to"));
    assert!(refused(draft.level("", "protocols bgp group", &SCHEMA).map(drop)).contains("edit goes to"));
    assert_eq!(text(&draft), before);
}

#[test]
fn inactive_statements_go_and_come() {
    let mut draft = draft(BASE);
    draft.set_active("protocols bgp group EXT", "neighbor 10.0.0.3", false, &SCHEMA).unwrap();
    assert!(text(&draft).contains("inactive: neighbor 10.0.0.3;"));
    let checked = draft.check("candidate", &SCHEMA);
    assert!(checked.is_err(), "A and B do not exist");
    draft.set_active("", "protocols bgp group EXT neighbor 10.0.0.3", true, &SCHEMA).unwrap();
    assert_eq!(text(&draft), text(&self::draft(BASE)));
}

#[test]
fn loads_are_whole_or_nothing() {
    let mut edited = draft(BASE);
    let load = |draft: &mut Draft, how, text: &str| draft.load(how, "f", text.as_bytes(), &SCHEMA);
    load(&mut edited, Load::Merge, "system host-name r2; protocols bgp group EXT { neighbor 10.0.0.4; }").unwrap();
    assert!(text(&edited).contains("host-name r2;") && text(&edited).contains("neighbor 10.0.0.4;"));
    assert!(text(&edited).contains("neighbor 10.0.0.3;"));
    let before = text(&edited);
    let mistakes =
        "set system host-name r3\n# no\n\n  delete protocols bgp group NONE\nedit system\ndelete\nset system host r!\n";
    let errors = refused(load(&mut edited, Load::Set, mistakes));
    let expected = [
        "f:4:1: [protocols bgp group NONE] is not in the configuration",
        "f:5:1: \"edit\" is no editing command; allowed: set, delete, activate, deactivate",
        "f:6:8: a statement is missing",
        "f:7:",
    ];
    for (line, start) in errors.lines().zip(expected) {
        assert!(line.starts_with(start), "{line}\nnot {start}");
    }
    assert_eq!(errors.lines().count(), 4);
    assert!(refused(load(&mut edited, Load::Merge, "system { hostname r3; }")).starts_with("f:1:10: [system] unknown"));
    assert_eq!(text(&edited), before);
    load(&mut edited, Load::Set, "set system host-name r3\ndelete protocols\ndeactivate system").unwrap();
    assert!(text(&edited).starts_with("inactive: system {\n    host-name r3;"), "{}", text(&edited));
    load(&mut edited, Load::Override, "system host-name r4;").unwrap();
    assert_eq!(text(&edited), "system {\n    host-name r4;\n}\n");
}

#[test]
fn comparisons_name_the_level_and_the_difference() {
    let base = draft(BASE);
    let mut edited = base.clone();
    assert_eq!(edited.compare(&base, &SCHEMA), "");
    set(&mut edited, "protocols bgp group EXT neighbor 10.0.0.2 hold-time 60");
    set(&mut edited, "routing-options static route 10.2.0.0/16 discard");
    edited.delete("", "routing-options static route 10.1.0.0/16", &SCHEMA).unwrap();
    edited.set_active("", "protocols bgp group EXT neighbor 10.0.0.3", false, &SCHEMA).unwrap();
    edited.delete("", "protocols bgp group EXT import A", &SCHEMA).unwrap();
    set(&mut edited, "protocols bgp group EXT import A");
    assert_eq!(
        edited.compare(&base, &SCHEMA),
        "[edit routing-options static]
-    route 10.1.0.0/16 {
-        next-hop 10.0.0.2;
-    }
+    route 10.2.0.0/16 {
+        discard;
+    }
[edit protocols bgp group EXT]
!    order: import B, import A;
!    inactive: neighbor 10.0.0.3;
[edit protocols bgp group EXT neighbor 10.0.0.2]
-    hold-time 30;
+    hold-time 60;
"
    );
}

#[test]
fn show_displays_a_part_in_every_form() {
    let draft = draft(BASE);
    let show = |level: &str, words: &str| draft.show(level, words, &SCHEMA).unwrap();
    assert_eq!(show("", "system"), "host-name r1;\n");
    assert_eq!(show("system", "host-name"), "host-name r1;\n");
    assert_eq!(show("protocols bgp group EXT", "neighbor 10.0.0.2"), "hold-time 30;\n");
    assert_eq!(show("protocols bgp group EXT", "neighbor").lines().count(), 4);
    assert_eq!(show("protocols bgp group NEW", ""), "");
    assert_eq!(show("", ""), text(&draft));
    assert!(refused(draft.show("", "chassis", &SCHEMA).map(drop)).contains("[chassis] is not in"));
    let sets = draft.show_set("protocols bgp group EXT", "neighbor 10.0.0.2", &SCHEMA).unwrap();
    assert_eq!(sets, "set protocols bgp group EXT neighbor 10.0.0.2 hold-time 30\n");
    let json = draft.show_json("protocols bgp group EXT", "neighbor 10.0.0.2", &SCHEMA).unwrap();
    let entry = &json["holdfast-protocols:protocols"]["holdfast-bgp:bgp"]["group"][0];
    assert_eq!(entry["neighbor"], serde_json::json!([{ "address": "10.0.0.2", "hold-time": 30 }]));
    assert!(entry.get("peer-as").is_none() && json.as_object().unwrap().len() == 1, "{json}");
}

#[test]
fn completion_offers_names_entries_and_values_with_help() {
    let draft = draft(BASE);
    let offered = |level: &str, words: &str, purpose| {
        let suggestions = draft.complete(level, words, purpose, &SCHEMA);
        assert!(suggestions.words.iter().all(|word| !word.help.is_empty()), "{suggestions:?}");
        let words: Vec<String> = suggestions.words.into_iter().map(|suggestion| suggestion.word).collect();
        (words.join(" "), suggestions.complete)
    };
    let set = |level: &str, words: &str| offered(level, words, Purpose::Set);
    assert_eq!(
        set("", ""),
        ("system chassis virtual-chassis interfaces routing-options protocols policy-options".into(), false)
    );
    assert_eq!(set("", "protocols bgp group"), ("EXT <identifier>".into(), false));
    assert_eq!(set("", "protocols bgp group EXT type"), ("internal external".into(), false));
    assert!(set("protocols bgp", "group EXT").1, "an entry is a statement");
    assert_eq!(set("", "system host-name"), ("<host-name>".into(), false));
    assert_eq!(set("", "system host-name r1"), (String::new(), true));
    assert_eq!(set("", "interfaces"), ("<interface-name>".into(), false));
    assert_eq!(set("", "routing-options nonstop-routing"), (String::new(), true));
    assert_eq!(set("", "nonsense"), (String::new(), false));
    assert_eq!(set("", "system host-name \"r"), (String::new(), false));
    let existing = |words: &str| offered("", words, Purpose::Existing);
    assert_eq!(existing("").0, "system routing-options protocols");
    assert_eq!(existing("protocols bgp group EXT neighbor"), ("10.0.0.2 10.0.0.3".into(), true));
    assert_eq!(existing("protocols bgp group EXT import"), ("A B".into(), true));
    assert_eq!(
        offered("", "protocols bgp group EXT", Purpose::Edit),
        (
            "local-as remove-private graceful-shutdown multipath family graceful-restart role multihop shutdown bfd-liveness-detection \
             ttl-security allow neighbor"
                .into(),
            true
        )
    );
}

/// A statement of the models with a value that fits.
fn statement() -> impl Strategy<Value = String> {
    let address = (1u8..4, 1u8..4).prop_map(|(a, b)| format!("10.0.{a}.{b}"));
    let prefix = (0u8..4).prop_map(|net| format!("10.{net}.0.0/16"));
    let group = prop::sample::select(vec!["EXT", "INT", "\"two words\""]);
    prop_oneof![
        "[a-z][a-z0-9]{0,5}".prop_map(|name| format!("system host-name {name}")),
        Just("routing-options nonstop-routing".to_owned()),
        Just("routing-options graceful-restart".to_owned()),
        (1u32..70000).prop_map(|number| format!("routing-options autonomous-system {number}")),
        (prefix.clone(), address.clone()).prop_map(|(p, a)| format!("routing-options static route {p} next-hop {a}")),
        prefix.clone().prop_map(|p| format!("routing-options static route {p} discard")),
        prefix.prop_map(|p| format!("policy-options prefix-list P {p}")),
        (group.clone(), 1u32..70000).prop_map(|(g, n)| format!("protocols bgp group {g} peer-as {n}")),
        (group.clone(), address.clone()).prop_map(|(g, a)| format!("protocols bgp group {g} neighbor {a}")),
        (group.clone(), address, "[ -~]{0,8}").prop_map(|(g, a, d)| {
            let text = d.replace('\\', "\\\\").replace('"', "\\\"");
            format!("protocols bgp group {g} neighbor {a} description \"{text}\"")
        }),
        (group, "[A-D]").prop_map(|(g, policy)| format!("protocols bgp group {g} export {policy}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn set_commands_and_text_say_the_same(statements in prop::collection::vec(statement(), 0..25), inactive in any::<prop::sample::Index>()) {
        let mut draft = Draft::empty();
        for words in &statements {
            draft.set("", words, &SCHEMA).unwrap();
        }
        if !statements.is_empty() {
            let words: &String = inactive.get(&statements);
            draft.set_active("", words, false, &SCHEMA).ok();
        }
        let mut again = Draft::empty();
        again.load(Load::Set, "x", draft.show_set("", "", &SCHEMA).unwrap().as_bytes(), &SCHEMA).unwrap();
        prop_assert_eq!(again.to_text(&SCHEMA), draft.to_text(&SCHEMA));
        prop_assert_eq!(again.compare(&draft, &SCHEMA), "");
        let read = Draft::parse("x", draft.to_text(&SCHEMA), &SCHEMA).unwrap();
        prop_assert_eq!(read.to_text(&SCHEMA), draft.to_text(&SCHEMA));
        let mut merged = draft.clone();
        merged.load(Load::Merge, "x", draft.to_text(&SCHEMA).as_bytes(), &SCHEMA).unwrap();
        prop_assert_eq!(merged.to_text(&SCHEMA), draft.to_text(&SCHEMA));
    }

    /// Whatever is set can be deleted by the same words, and then nothing of it is left but the entries around it.
    #[test]
    fn what_was_set_can_be_deleted(statements in prop::collection::vec(statement(), 1..12)) {
        let mut draft = Draft::empty();
        for words in &statements {
            draft.set("", words, &SCHEMA).unwrap();
            let with = draft.clone();
            draft.delete("", words, &SCHEMA).unwrap();
            prop_assert_ne!(draft.to_text(&SCHEMA), with.to_text(&SCHEMA));
            draft = with;
        }
        for top in ["system", "routing-options", "protocols", "policy-options"] {
            draft.delete("", top, &SCHEMA).ok();
        }
        prop_assert_eq!(draft.to_text(&SCHEMA), "");
    }

    /// A comparison is empty exactly when the texts are the same.
    #[test]
    fn a_comparison_misses_nothing(one in prop::collection::vec(statement(), 0..10), other in prop::collection::vec(statement(), 0..10)) {
        let made = |statements: &[String]| {
            let mut draft = Draft::empty();
            for words in statements {
                draft.set("", words, &SCHEMA).unwrap();
            }
            draft
        };
        let (one, other) = (made(&one), made(&other));
        let same = one.to_text(&SCHEMA) == other.to_text(&SCHEMA);
        prop_assert_eq!(one.compare(&other, &SCHEMA).is_empty(), same, "{}\n{}", one.to_text(&SCHEMA), other.to_text(&SCHEMA));
    }

    #[test]
    fn arbitrary_edits_never_panic(level in "[ -~]{0,12}", words in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut draft = draft(BASE);
        let before = draft.to_text(&SCHEMA);
        let mut failed = draft.set(&level, &words, &SCHEMA).is_err();
        failed &= draft.delete("", &words, &SCHEMA).is_err();
        failed &= draft.load(Load::Set, "x", &bytes, &SCHEMA).is_err();
        failed &= draft.load(Load::Merge, "x", &bytes, &SCHEMA).is_err();
        let _ = draft.complete(&level, &words, Purpose::Set, &SCHEMA);
        let _ = draft.show(&level, &words, &SCHEMA);
        let _ = draft.level(&level, &words, &SCHEMA);
        prop_assert!(!failed || draft.to_text(&SCHEMA) == before);
    }

    /// A draft that checks is the configuration of its text.
    #[test]
    fn a_draft_becomes_the_configuration_of_its_text(statements in prop::collection::vec(statement(), 0..25)) {
        let mut draft = Draft::empty();
        for words in &statements {
            draft.set("", words, &SCHEMA).unwrap();
        }
        if let Ok(checked) = draft.check("x", &SCHEMA) {
            let parsed = Configuration::parse("x", draft.to_text(&SCHEMA), &SCHEMA).unwrap();
            prop_assert_eq!(checked.digest(), parsed.digest());
            prop_assert_eq!(checked.to_text(), draft.to_text(&SCHEMA));
        }
    }
}

const POLICY: &str =
    "policy-options { policy-statement P { term a { from protocol bgp; then accept; } term z then reject; } }
protocols bgp group EXT { peer-as 65002; import [ A B C ]; neighbor 10.0.0.2; }
";

#[test]
fn terms_and_chains_are_put_in_order() {
    let mut draft = draft(POLICY);
    let mut insert = |level: &str, words: &str| draft.rearrange(Rearrange::Insert, level, words, &SCHEMA);
    insert("policy-options policy-statement P", "term z before term a").unwrap();
    insert("", "protocols bgp group EXT import C before import A").unwrap();
    insert("", "protocols bgp group EXT import A after B").unwrap_err();
    insert("", "protocols bgp group EXT import A after import B").unwrap();
    let absent = refused(insert("policy-options policy-statement P", "term z before term q"));
    assert_eq!(absent, "[policy-options policy-statement P term q] is not in the configuration; show displays what is");
    let elsewhere = refused(insert("policy-options policy-statement P", "term z before then accept"));
    assert!(elsewhere.starts_with("column 15: ") && elsewhere.contains("of another kind"), "{elsewhere}");
    let alone = refused(insert("policy-options policy-statement P", "term z before"));
    assert!(alone.contains("before or after and another statement are missing"), "{alone}");
    assert!(refused(insert("", "policy-options before protocols")).contains("is not one of several that have names"));
    let text = text(&draft);
    assert!(text.contains("import [ C B A ];"), "{text}");
    assert!(text.find("term z").unwrap() < text.find("term a").unwrap(), "{text}");
}

#[test]
fn entries_are_renamed_and_copied() {
    let mut draft = draft(POLICY);
    let mut change = |how, words: &str| draft.rearrange(how, "", words, &SCHEMA);
    change(Rearrange::Rename, "policy-options policy-statement P term a to term \"to be\"").unwrap();
    change(Rearrange::Copy, "protocols bgp group EXT to group INT").unwrap();
    change(Rearrange::Rename, "protocols bgp group INT neighbor 10.0.0.2 to neighbor 2001:DB8::2").unwrap();
    let there = refused(change(Rearrange::Rename, "protocols bgp group INT to group EXT"));
    assert_eq!(
        there,
        "column 28: [protocols bgp group EXT] is there already; allowed: a name that nothing has; delete that statement first"
    );
    assert!(refused(change(Rearrange::Copy, "protocols bgp group INT to group")).contains("of another kind"));
    assert!(
        refused(change(Rearrange::Rename, "protocols bgp group INT")).contains("to and another statement are missing")
    );
    assert!(
        refused(change(Rearrange::Rename, "protocols bgp group EXT import A to import D"))
            .contains("no name of its own")
    );
    assert!(refused(change(Rearrange::Rename, "protocols bgp group EXT to group \"\"")).starts_with("column 34: "));
    // What was renamed and copied is found by its new name, and not by its old one.
    set(&mut draft, "protocols bgp group INT neighbor 2001:db8::2 hold-time 30");
    set(&mut draft, "protocols bgp group INT peer-as 65009");
    draft.delete("", "protocols bgp group INT neighbor 10.0.0.2", &SCHEMA).unwrap_err();
    let expected = "protocols {
    bgp {
        group EXT {
            import [ A B C ];
            peer-as 65002;
            neighbor 10.0.0.2;
        }
        group INT {
            import [ A B C ];
            peer-as 65009;
            neighbor 2001:db8::2 {
                hold-time 30;
            }
        }
    }
}
";
    assert!(text(&draft).starts_with(expected), "{}", text(&draft));
    assert!(text(&draft).contains("term \"to be\" {"), "{}", text(&draft));
}

#[test]
fn lines_of_a_text_rearrange_too() {
    let mut draft = draft(POLICY);
    let lines = b"set policy-options policy-statement P term b then reject
insert policy-options policy-statement P term b before term z
rename protocols bgp group EXT to group E
copy protocols bgp group E to group F
";
    draft.load(Load::Set, "t", lines, &SCHEMA).unwrap();
    let set = draft.show_set("", "", &SCHEMA).unwrap();
    let terms: Vec<&str> = set.lines().filter_map(|line| line.split_once(" term ")?.1.split(' ').next()).collect();
    assert_eq!(terms, ["a", "a", "b", "z"]);
    assert!(set.contains("group E neighbor 10.0.0.2") && set.contains("group F neighbor 10.0.0.2"), "{set}");
}

#[test]
fn completion_offers_what_may_be_referred_to() {
    let mut draft = draft(POLICY);
    for words in ["prefix-list OURS 10.0.0.0/8", "community \"A B\" members 1:1", "as-path SHORT \"65001\""] {
        set(&mut draft, &format!("policy-options {words}"));
    }
    let offered = |words: &str| {
        let words = draft.complete("", words, Purpose::Set, &SCHEMA).words;
        words.into_iter().map(|suggestion| suggestion.word).collect::<Vec<_>>().join(" ")
    };
    let term = "policy-options policy-statement P term a";
    assert_eq!(offered("protocols bgp group EXT import"), "P <identifier>");
    assert_eq!(offered(&format!("{term} from policy")), "P <identifier>");
    assert_eq!(offered(&format!("{term} from prefix-list")), "OURS <identifier>");
    assert_eq!(offered(&format!("{term} from prefix-list-filter")), "OURS <identifier>");
    assert_eq!(offered(&format!("{term} from as-path")), "SHORT <identifier>");
    assert_eq!(offered(&format!("{term} then community add")), "\"A B\" <identifier>");
    assert_eq!(offered("policy-options prefix-list"), "OURS <identifier>");
}

#[test]
fn completion_of_what_is_rearranged() {
    let draft = draft(POLICY);
    let words = |how, level: &str, words: &str| {
        let words = draft.complete_rearrange(how, level, words, &SCHEMA).words;
        words.into_iter().map(|suggestion| suggestion.word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(Rearrange::Insert, "policy-options policy-statement P", "term "), "a z");
    assert_eq!(words(Rearrange::Insert, "policy-options policy-statement P", "term z "), "before after");
    assert_eq!(words(Rearrange::Insert, "policy-options policy-statement P", "term z before term "), "a z");
    assert_eq!(words(Rearrange::Rename, "protocols bgp", "group EXT "), "to");
    assert_eq!(words(Rearrange::Rename, "protocols bgp", "group EXT to "), "group");
}

#[test]
fn a_text_replaces_what_it_marks() {
    let base = "system host-name r1;
routing-options static { route 10.1.0.0/16 discard; route 10.2.0.0/16 discard; }
protocols bgp group EXT { peer-as 65002; import [ A B ]; export X; neighbor 10.0.0.2 { hold-time 30; } neighbor 10.0.0.3; }
";
    let load = |text: &str| {
        let mut draft = draft(base);
        draft.load(Load::Replace, "t", text.as_bytes(), &SCHEMA).map(|()| draft.show_set("", "", &SCHEMA).unwrap())
    };
    // What is marked is as the text says, what is not is added.
    let set = load("protocols { bgp { group EXT { replace: neighbor 10.0.0.2 { description x; } hold-time 20; } } }")
        .unwrap();
    assert!(set.contains("neighbor 10.0.0.2 description x") && !set.contains("neighbor 10.0.0.2 hold-time"), "{set}");
    assert!(set.contains("neighbor 10.0.0.3") && set.contains("group EXT hold-time 20"), "{set}");
    let set = load("replace: protocols bgp group EXT { peer-as 65003; } system host-name r2;").unwrap();
    assert!(set.contains("group EXT peer-as 65003") && !set.contains("neighbor") && !set.contains("import"), "{set}");
    assert!(set.contains("host-name r2") && set.contains("route 10.1.0.0/16"), "{set}");
    let set = load("protocols bgp group EXT { replace: import [ C A ]; export Y; }").unwrap();
    assert!(set.contains("import C") && set.contains("import A") && !set.contains("import B"), "{set}");
    assert!(set.contains("export X") && set.contains("export Y"), "{set}");
    let set = load("replace: routing-options { static { route 10.3.0.0/16 discard; } }").unwrap();
    assert!(set.contains("route 10.3.0.0/16") && !set.contains("route 10.1.0.0/16"), "{set}");
    // What would put nothing there is a mistake, and so is the mark anywhere else.
    let vain = refused(load("replace: routing-options { }").map(drop));
    assert!(vain.starts_with("t:1:10: [routing-options] replace: puts nothing in the place"), "{vain}");
    let mut other = draft(base);
    let elsewhere = refused(other.load(Load::Merge, "t", b"replace: system host-name r2;", &SCHEMA));
    assert!(elsewhere.contains("replace: has a meaning for load replace only"), "{elsewhere}");
    assert!(refused(load("replace: ;").map(drop)).contains("replace: without a statement behind it"));
}
