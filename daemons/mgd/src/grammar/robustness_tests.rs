//! Whatever is typed, it is a command or it is refused in words.

use proptest::prelude::*;

use super::{COMMANDS, configure, parse};

/// Words that lines are made of: those of the table, what stands for values, and what is neither.
fn word() -> impl Strategy<Value = String> {
    let known: Vec<&str> = COMMANDS.iter().flat_map(|command| command.words.iter().copied()).collect();
    let arguments = vec![
        "10.0.0.1",
        "2001:db8::/32",
        "10.0.0.0/8",
        "all",
        "bgp",
        "table",
        "inet.0",
        "exact",
        "longer",
        "protocol",
        "static",
        "detail",
        "summary",
        "receive-protocol",
        "confirm",
        "5",
        "at",
        "22:30",
        "message",
        "\"a b\"",
        "terse",
        "force",
    ];
    let editing = vec![
        "set",
        "delete",
        "edit",
        "up",
        "top",
        "exit",
        "load",
        "merge",
        "terminal",
        "commit",
        "and-quit",
        "comment",
        "rollback",
        "protocols",
        "group",
        "G",
        "compare",
        "run",
        "save",
    ];
    prop_oneof![
        6 => prop::sample::select(known).prop_map(str::to_owned),
        3 => prop::sample::select(arguments).prop_map(str::to_owned),
        3 => prop::sample::select(editing).prop_map(str::to_owned),
        1 => "[ -~äß€\u{2028}]{0,8}",
        1 => any::<String>(),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let shortened = (word(), 1usize..12).prop_map(|(word, length)| word.chars().take(length).collect::<String>());
    prop::collection::vec(prop_oneof![3 => word(), 1 => shortened], 0..9).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn operational_commands(line in line(), cut in 0usize..80) {
        let cut = line.chars().take(cut).collect::<String>();
        for line in [&line, &cut] {
            match parse(line) {
                Ok(invocation) => prop_assert!(COMMANDS.iter().any(|command| command.action == invocation.action)),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn commands_of_configure_mode(line in line(), cut in 0usize..80) {
        let cut = line.chars().take(cut).collect::<String>();
        for line in [&line, &cut] {
            if let Err(error) = configure::parse(line) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A line of them was once followed to its end, one call within the other.
#[test]
fn a_second_top_is_refused() {
    for line in ["top top".to_owned(), "top ".repeat(crate::limits::LINE_BYTES_MAX / 4)] {
        assert_eq!(configure::parse(&line).unwrap_err().to_string(), "top stands once");
    }
}
