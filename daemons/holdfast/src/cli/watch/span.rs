//! Text with a meaning, so that colour is decided in one place and width is counted without it.

/// What a piece of text means; how it looks is the screen's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// A title.
    Title,
    /// Done, ready, equal.
    Good,
    /// Under way.
    Busy,
    /// Failed, not ready, not equal.
    Bad,
    /// Still to come; help.
    Faint,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Without control characters.
    pub text: String,
    /// What it means.
    pub style: Style,
}

/// A line of the view.
pub type Line = Vec<Span>;

/// A piece of text. Whatever came from elsewhere cannot move the cursor.
pub fn span(text: impl AsRef<str>, style: Style) -> Span {
    let text = text.as_ref().chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    Span { text, style }
}

/// A line with one style.
pub fn line(text: impl AsRef<str>, style: Style) -> Line {
    vec![span(text, style)]
}

/// Characters of a line.
pub fn width(line: &Line) -> usize {
    line.iter().map(|span| span.text.chars().count()).sum()
}

/// The line cut to a width; what was cut off is marked.
pub fn cut(line: Line, columns: usize) -> Line {
    if width(&line) <= columns {
        return line;
    }
    let mut left = columns.saturating_sub(1);
    let mut cut = Vec::new();
    for piece in line {
        let length = piece.text.chars().count();
        if length <= left {
            left -= length;
            cut.push(piece);
        } else {
            let text: String = piece.text.chars().take(left).collect();
            cut.push(span(text + "~", piece.style));
            break;
        }
    }
    if columns == 0 { Vec::new() } else { cut }
}

/// A text in lines of a width, broken between words and going on a little further in; for what must not be cut.
pub fn wrapped(text: &str, columns: usize, style: Style) -> Vec<Line> {
    const INDENT: &str = "    ";
    let words = text.trim_start_matches(' ');
    let mut lines = Vec::new();
    let mut current = " ".repeat(text.len() - words.len());
    for (index, word) in words.split(' ').enumerate() {
        if index > 0 && current.chars().count() + 1 + word.chars().count() > columns {
            lines.push(std::mem::replace(&mut current, INDENT.to_owned()));
        } else if index > 0 {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines.into_iter().map(|text| line(text, style)).collect()
}

/// The line filled with spaces to a width.
pub fn pad(line: Line, columns: usize) -> Line {
    let mut line = cut(line, columns);
    let missing = columns - width(&line);
    line.push(span(" ".repeat(missing), Style::Plain));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line) -> String {
        line.iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn lines_are_cut_and_padded_by_characters() {
        let line = || vec![span("abc", Style::Plain), span("d\u{e9}f", Style::Good)];
        assert_eq!(text(&cut(line(), 6)), "abcd\u{e9}f");
        assert_eq!(text(&cut(line(), 5)), "abcd~");
        assert_eq!(text(&cut(line(), 3)), "ab~");
        assert_eq!(text(&cut(line(), 0)), "");
        assert_eq!(text(&pad(line(), 8)), "abcd\u{e9}f  ");
        assert_eq!(width(&pad(line(), 4)), 4);
    }

    #[test]
    fn what_must_not_be_cut_goes_on_below() {
        let texts = |text_in: &str, columns| -> Vec<String> {
            wrapped(text_in, columns, Style::Plain).iter().map(text).collect()
        };
        assert_eq!(texts("  Reason : one two three four", 16), ["  Reason : one", "    two three", "    four"]);
        assert_eq!(texts("  short", 16), ["  short"]);
        assert_eq!(texts("  one-that-is-longer b", 10), ["  one-that-is-longer", "    b"]);
        assert_eq!(texts("", 10), [""]);
    }

    #[test]
    fn text_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(span("a\u{1b}[2Jb\n", Style::Plain).text, "a [2Jb ");
    }
}
