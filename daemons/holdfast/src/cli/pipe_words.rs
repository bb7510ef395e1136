//! The words behind `|`: one table for parsing, completion and `?`.

/// One pipe.
pub struct PipeWord {
    /// As typed.
    pub word: &'static str,
    /// For `?`.
    pub help: &'static str,
    /// What stands behind it; empty: nothing.
    pub argument: &'static str,
}

/// All pipes.
pub const PIPES: [PipeWord; 9] = [
    PipeWord { word: "compare", help: "Show what was changed (show in configure mode)", argument: "rollback <number>" },
    PipeWord { word: "count", help: "Count the lines", argument: "" },
    PipeWord { word: "display", help: "Show in another form", argument: "json, xml or set" },
    PipeWord { word: "except", help: "Only lines without a match", argument: "<expression>" },
    PipeWord { word: "find", help: "From the first line with a match on", argument: "<expression>" },
    PipeWord { word: "last", help: "Only the last lines", argument: "<lines>" },
    PipeWord { word: "match", help: "Only lines with a match", argument: "<expression>" },
    PipeWord { word: "no-more", help: "Once, not as it goes; and never a stop at full screens", argument: "" },
    PipeWord { word: "save", help: "Write to a file", argument: "<file>" },
];

/// Forms that `display` knows.
pub const FORMS: [(&str, &str); 3] =
    [("json", "JSON"), ("set", "Commands that would make this configuration"), ("xml", "XML, from the JSON")];

/// Where the last pipe of a line begins behind its `|`; none when there is no pipe, or it is in quotes.
pub fn last_pipe(line: &str) -> Option<usize> {
    let mut quoted = false;
    let mut last = None;
    for (index, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '|' if !quoted => last = Some(index + 1),
            _ => {}
        }
    }
    last
}

/// Whether the end of a line is an argument of a pipe that may be any text.
pub fn in_argument(line: &str) -> bool {
    last_pipe(line).is_some_and(|pipe| {
        let behind_a_word = line.get(pipe..).is_some_and(|part| part.trim_start().contains(char::is_whitespace));
        behind_a_word && complete(line, pipe).1.is_empty()
    })
}

/// What may stand at the end of a line with a pipe: where the partial word begins, and words with their help.
pub fn complete(line: &str, pipe: usize) -> (usize, Vec<(String, String)>) {
    let start = line.rfind(char::is_whitespace).map_or(pipe, |at| (at + 1).max(pipe));
    let partial = line.get(start..).unwrap_or_default();
    let before = line.get(pipe..start).unwrap_or_default();
    let offered: Vec<(String, String)> = match before.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] => PIPES.iter().map(|pipe| (pipe.word.to_owned(), pipe.help.to_owned())).collect(),
        ["compare"] => vec![("rollback".to_owned(), "With an earlier configuration".to_owned())],
        ["display"] => FORMS.iter().map(|(word, help)| ((*word).to_owned(), (*help).to_owned())).collect(),
        _ => Vec::new(),
    };
    (start, offered.into_iter().filter(|(word, _)| word.starts_with(partial)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let pipe = last_pipe(line).unwrap();
        complete(line, pipe).1.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn pipes_complete() {
        assert_eq!(words("show version | ").len(), PIPES.len());
        assert_eq!(words("show version |d"), ["display"]);
        assert_eq!(words("show version | count | m"), ["match"]);
        assert_eq!(words("show version | display "), ["json", "set", "xml"]);
        assert!(words("show version | match x").is_empty());
        let free = ["show x | match ", "show x | match a", "show x | count | find "];
        assert!(free.into_iter().all(in_argument));
        let known = ["show x", "show x | ", "show x | match", "show x | display ", "show x | display j"];
        assert!(!known.into_iter().any(in_argument));
        assert_eq!(last_pipe("show x"), None);
        assert_eq!(last_pipe("show x | match \"a|b\""), Some(8));
        assert_eq!(complete("x | co", 3).0, 4);
    }
}
