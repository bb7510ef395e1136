//! A line to words.

/// Words are parted by blanks; what stands in double quotes is one word, blanks and all. `Err`: a quote is not closed.
pub fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
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
        assert!(words(r#"message "open"#).is_err());
        assert!(words("").unwrap().is_empty());
    }
}
