//! An operator's text.

use holdfast_config::{Configuration, Draft, Schema};

thread_local! {
    static SCHEMA: Schema = Schema::load().expect("the modules that are built in");
}

/// A text is refused, with every mistake in its place, or it is a configuration whose views say the same.
pub fn check_configuration(text: &[u8]) {
    SCHEMA.with(|schema| match Configuration::parse("fuzz", text, schema) {
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
        }
    });
}
