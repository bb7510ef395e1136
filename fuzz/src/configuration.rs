//! An operator's text, and editing commands.

use holdfast_bgp::speaker::Speaker;
use holdfast_config::{Configuration, Draft, Purpose, Schema};
use holdfast_rib::Rib;
use std::time::Duration;

thread_local! {
    static SCHEMA: Schema = Schema::load().expect("the modules that are built in");
}

/// Lends the models, which are read once.
pub(crate) fn with_schema<T>(take: impl FnOnce(&Schema) -> T) -> T {
    SCHEMA.with(take)
}

/// A text is refused, with every mistake in its place, or it is a configuration whose views say the same and that BGP runs.
pub fn check_configuration(text: &[u8]) {
    with_schema(|schema| match Configuration::parse("fuzz", text, schema) {
        Err(errors) => {
            assert!(!errors.is_empty());
            errors.iter().for_each(|error| assert!(!error.to_string().is_empty()));
        }
        Ok(configuration) => {
            let printed = configuration.to_text();
            let again = Configuration::parse("printed", printed, schema).expect("what we print can be read");
            assert_eq!((again.to_text(), again.digest()), (printed, configuration.digest()));
            assert_eq!(again.compile(1), configuration.compile(1));
            let draft = Draft::parse("printed", printed, schema).expect("a configuration is a draft");
            assert_eq!(draft.to_text(schema), printed);
            let mut retyped = Draft::empty();
            retyped
                .load(holdfast_config::Load::Set, "set", configuration.to_set().as_bytes(), schema)
                .expect("set form");
            assert_eq!(retyped.to_text(schema), printed);
            runs(&configuration);
        }
    });
}

/// What has passed the commit is not refused by who has to run it.
fn runs(configuration: &Configuration) {
    let config = configuration.compile(1);
    let now = Duration::from_secs(1);
    let (mut speaker, mut rib) = (Speaker::new(false, 7), Rib::new());
    if let Err(error) = speaker.configure(&config, &mut rib, now) {
        panic!("{error}\n{}", configuration.to_text());
    }
}

/// Lines of configure mode, one after the other: each is taken, or refused and nothing has changed.
pub fn check_editing(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    with_schema(|schema| {
        let (mut draft, mut level) = (Draft::empty(), String::new());
        for line in text.lines() {
            let (command, words) = line.split_once(' ').unwrap_or((line, ""));
            let before = draft.to_text(schema);
            let done = match command {
                "set" => draft.set(&level, words, schema),
                "delete" => draft.delete(&level, words, schema),
                "activate" | "deactivate" => draft.set_active(&level, words, command == "activate", schema),
                "edit" => draft.level(&level, words, schema).map(|path| level = path),
                "up" => draft.above(&level, schema).map(|path| level = path),
                "show" => draft.show(&level, words, schema).map(drop),
                "json" => draft.show_json(&level, words, schema).map(drop),
                _ => draft.show_set(&level, words, schema).map(drop),
            };
            let after = draft.to_text(schema);
            assert!(done.is_ok() || before == after, "{line} was refused and has changed something");
            draft.complete(&level, words, Purpose::Set, schema);
            assert_rereads(&draft, &after, schema);
        }
    });
}

fn assert_rereads(draft: &Draft, text: &str, schema: &Schema) {
    let again = Draft::parse("printed", text, schema).expect("what we print can be read");
    assert_eq!(again.to_text(schema), text);
    assert_eq!(draft.compare(&again, schema), "");
    let _ = draft.check("draft", schema);
}
