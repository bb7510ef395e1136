//! A line to words.

/// Words are parted by blanks; what stands in double quotes is one word, blanks and all, and a backslash there keeps a quote or
/// a backslash. `Err`: why the line is none.
pub fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '|' if !quoted => return Err("pipes are carried out by the command line, not by mgd"),
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            '\\' if quoted => {
                let escaped = characters.next_if(|next| matches!(next, '"' | '\\'));
                word.get_or_insert_default().push(escaped.unwrap_or('\\'));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err("a double quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("  show   bgp ").unwrap(), ["show", "bgp"]);
        assert_eq!(words(r#"message "new optics" force"#).unwrap(), ["message", "new optics", "force"]);
        assert_eq!(words(r#"a"b c"d """#).unwrap(), ["ab cd", ""]);
        assert_eq!(words(r#"m "a \"b\" | \\ \n""#).unwrap(), ["m", r#"a "b" | \ \n"#]);
        assert!(words(r#"message "open"#).is_err() && words("show | count").is_err());
        assert!(words("").unwrap().is_empty());
    }
}
