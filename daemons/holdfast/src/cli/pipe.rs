//! Pipes: what stands behind `|` is done here, line by line, so that output of any length passes through.

use std::{collections::VecDeque, path::PathBuf};

use regex::{Regex, RegexBuilder};

use super::{
    error::CliError,
    pipe_words::{FORMS, PIPES},
    sink::Sink,
    xml::{self, XML_BYTES_MAX},
};

/// Lines that `last` keeps when no number is given.
const LAST_DEFAULT: usize = 10;
/// Most lines that `last` keeps.
const LAST_MAX: usize = 100_000;
/// Output of an unfinished answer that is held back: some 100,000 routes as text. What comes out of the pipes counts, so that
/// | count or | match have tables of any size.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A command line taken apart.
#[derive(Debug)]
pub struct Line {
    /// What mgd is asked, as typed but for spaces between words: mgd reads it, quotes and all.
    pub command: String,
    /// "json", "set", "compare" when a pipe asks for it.
    pub display: Option<String>,
    /// `| no-more`: once, and not as it goes.
    pub once: bool,
    /// Filters in order.
    filters: Vec<Filter>,
    save: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Filter {
    Match(Regex),
    Except(Regex),
    /// Until its first match.
    Find(Option<Regex>),
    Count(u64),
    Last(VecDeque<String>, usize),
    /// JSON, to be written as XML once it is whole.
    Xml(String),
}

impl Line {
    /// Splits a line at its pipes.
    pub fn parse(line: &str) -> Result<Self, CliError> {
        let mut parts = split(line)?.into_iter();
        let first = parts.next().unwrap_or_default();
        let command = first.typed.join(" ");
        let mut parsed = Self { command, display: None, once: false, filters: Vec::new(), save: None };
        for part in parts {
            parsed.pipe(&part.words)?;
        }
        Ok(parsed)
    }

    fn pipe(&mut self, words: &[String]) -> Result<(), CliError> {
        let Some((first, arguments)) = words.split_first() else {
            return Err(CliError::Pipe(format!("nothing stands behind |; pipes: {}", names())));
        };
        if self.save.is_some() {
            return Err(CliError::Pipe("save FILE is the last pipe".to_owned()));
        }
        let fitting: Vec<_> =
            PIPES.iter().filter(|pipe| pipe.word == first || pipe.word.starts_with(first.as_str())).collect();
        let [pipe] = fitting.as_slice() else {
            return Err(CliError::Pipe(format!("unknown pipe {first:?}; pipes: {}", names())));
        };
        let one = || match arguments {
            [argument] => Ok(argument.as_str()),
            _ => Err(CliError::Pipe(format!("| {} takes {}", pipe.word, pipe.argument))),
        };
        match pipe.word {
            "match" => self.filters.push(Filter::Match(expression(one()?)?)),
            "except" => self.filters.push(Filter::Except(expression(one()?)?)),
            "find" => self.filters.push(Filter::Find(Some(expression(one()?)?))),
            "save" => self.save = Some(PathBuf::from(one()?)),
            "display" => self.display(form(one()?)?),
            "compare" => self.display = Some(compared(arguments)?),
            "last" if arguments.is_empty() => self.filters.push(Filter::Last(VecDeque::new(), LAST_DEFAULT)),
            "last" => {
                let number = one()?.parse().ok().filter(|number| (1..=LAST_MAX).contains(number));
                let number =
                    number.ok_or_else(|| CliError::Pipe(format!("| last takes a number from 1 to {LAST_MAX}")))?;
                self.filters.push(Filter::Last(VecDeque::new(), number));
            }
            other if !arguments.is_empty() => return Err(CliError::Pipe(format!("| {other} takes nothing"))),
            "count" => self.filters.push(Filter::Count(0)),
            "no-more" => self.once = true,
            _ => {}
        }
        Ok(())
    }

    fn display(&mut self, form: &'static str) {
        self.filters.retain(|filter| !matches!(filter, Filter::Xml(_)));
        if form == "xml" {
            // Whatever stands before it: what filters see are its lines.
            self.filters.insert(0, Filter::Xml(String::new()));
        }
        self.display = Some(if form == "xml" { "json" } else { form }.to_owned());
    }

    /// Whether output goes to the terminal as it is.
    pub fn is_plain(&self) -> bool {
        self.filters.is_empty() && self.save.is_none()
    }

    /// Where the output goes through the filters.
    pub fn pipeline(self, terminal: impl FnOnce() -> Sink) -> Result<Pipeline, CliError> {
        let sink = match &self.save {
            Some(path) => Sink::file(path)?,
            None => terminal(),
        };
        let fresh = self.filters.clone();
        Ok(Pipeline { filters: self.filters, fresh, partial: String::new(), sink, saved: self.save, lines: 0 })
    }
}

fn names() -> String {
    PIPES.map(|pipe| pipe.word).join(", ")
}

fn expression(text: &str) -> Result<Regex, CliError> {
    // As in Junos, case does not count.
    let built = RegexBuilder::new(text).case_insensitive(true).size_limit(1 << 20).build();
    built.map_err(|error| CliError::Pipe(format!("{text:?} is no regular expression: {error}")))
}

fn form(text: &str) -> Result<&'static str, CliError> {
    match FORMS.iter().find(|(word, _)| *word == text) {
        Some((word, _)) => Ok(word),
        None => Err(CliError::Pipe(format!("| display takes json, xml or set, not {text:?}"))),
    }
}

/// What a comparison is with, as mgd is told it.
fn compared(arguments: &[String]) -> Result<String, CliError> {
    let number = |text: &String| text.parse::<u32>().is_ok();
    match arguments {
        [] => Ok("compare".to_owned()),
        [word, text] if "rollback".starts_with(word.as_str()) && number(text) => Ok(format!("compare rollback {text}")),
        _ => Err(CliError::Pipe("| compare takes nothing, or rollback <number>".to_owned())),
    }
}

/// What stands between two pipes.
#[derive(Default)]
struct Part {
    words: Vec<String>,
    /// The same words with their quotes.
    typed: Vec<String>,
}

/// Words by pipe; quotes keep spaces and `|` in a word, a backslash keeps a quote in quotes.
fn split(line: &str) -> Result<Vec<Part>, CliError> {
    let mut parts = vec![Part::default()];
    let mut word: Option<(String, String)> = None;
    let mut quoted = false;
    let end = |word: &mut Option<(String, String)>, parts: &mut Vec<Part>| {
        if let (Some((word, typed)), Some(part)) = (word.take(), parts.last_mut()) {
            part.words.push(word);
            part.typed.push(typed);
        }
    };
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default().1.push(character);
            }
            '|' if !quoted => {
                end(&mut word, &mut parts);
                parts.push(Part::default());
            }
            character if character.is_whitespace() && !quoted => end(&mut word, &mut parts),
            character => {
                let (plain, typed) = word.get_or_insert_default();
                typed.push(character);
                let escapes = quoted && character == '\\';
                match characters.next_if(|next| escapes && matches!(next, '"' | '\\')) {
                    Some(escaped) => {
                        plain.push(escaped);
                        typed.push(escaped);
                    }
                    None => plain.push(character),
                }
            }
        }
    }
    if quoted {
        return Err(CliError::Pipe("the closing quote is missing".to_owned()));
    }
    end(&mut word, &mut parts);
    Ok(parts)
}

/// Output on its way.
pub struct Pipeline {
    filters: Vec<Filter>,
    /// As they were before the first line.
    fresh: Vec<Filter>,
    partial: String,
    sink: Sink,
    saved: Option<PathBuf>,
    lines: u64,
}

impl Pipeline {
    /// Takes output in pieces of any size.
    pub fn write(&mut self, text: &str) -> Result<(), CliError> {
        if self.filters.is_empty() && self.saved.is_none() {
            self.sink.write(text)?;
            return self.sink.flush();
        }
        self.partial.push_str(text);
        let whole = self.partial.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.partial.split_off(whole);
        let lines = std::mem::replace(&mut self.partial, rest);
        for line in lines.lines() {
            self.line(0, line)?;
        }
        Ok(())
    }

    /// A line into the filters from one on.
    fn line(&mut self, from: usize, line: &str) -> Result<(), CliError> {
        for filter in self.filters.iter_mut().skip(from) {
            match filter {
                Filter::Match(expression) if expression.is_match(line) => {}
                Filter::Except(expression) if !expression.is_match(line) => {}
                Filter::Match(_) | Filter::Except(_) => return Ok(()),
                Filter::Find(None) => {}
                Filter::Find(Some(expression)) if !expression.is_match(line) => return Ok(()),
                Filter::Find(found) => *found = None,
                Filter::Count(count) => {
                    *count += 1;
                    return Ok(());
                }
                Filter::Xml(text) if text.len() + line.len() < XML_BYTES_MAX => {
                    text.push_str(line);
                    text.push('\n');
                    return Ok(());
                }
                Filter::Xml(_) => {
                    let limit = XML_BYTES_MAX >> 20;
                    return Err(CliError::Pipe(format!(
                        "more than {limit} MiB for | display xml; | display json has no limit"
                    )));
                }
                Filter::Last(kept, number) => {
                    if kept.len() >= *number {
                        kept.pop_front();
                    }
                    kept.push_back(line.to_owned());
                    return Ok(());
                }
            }
        }
        self.lines += 1;
        self.sink.write(&format!("{line}\n"))
    }

    /// What comes may have to begin anew: it is not shown before [`Self::let_go`], unless there is too much of it.
    pub fn hold(&mut self) {
        if self.saved.is_none() {
            self.sink.hold(HELD_BYTES_MAX);
        }
    }

    /// The answer is whole.
    pub fn let_go(&mut self) -> Result<(), CliError> {
        self.sink.let_go()
    }

    /// Whether nobody has seen anything yet. A file is whole when the command has ended, not before.
    pub fn can_begin_anew(&self) -> bool {
        match &self.saved {
            Some(path) => path.is_file(),
            None => self.sink.is_holding(),
        }
    }

    /// Forgets all that was written; no, when that is not possible any more.
    pub fn begin_anew(&mut self) -> Result<bool, CliError> {
        if !self.can_begin_anew() {
            return Ok(false);
        }
        self.filters.clone_from(&self.fresh);
        self.partial.clear();
        self.lines = 0;
        self.sink.forget();
        if let Some(path) = &self.saved {
            self.sink = Sink::nowhere(); // the old file is closed, and has all it was to have, before it is emptied
            self.sink = Sink::file(path)?;
        }
        Ok(true)
    }

    /// The rest of the output goes into a file.
    pub fn save_to(&mut self, path: PathBuf) -> Result<(), CliError> {
        self.sink = Sink::file(&path)?;
        self.saved = Some(path);
        Ok(())
    }

    /// The end of the output: what filters held back comes now.
    pub fn finish(mut self) -> Result<(), CliError> {
        let partial = std::mem::take(&mut self.partial);
        if !partial.is_empty() {
            self.line(0, &partial)?;
        }
        for index in 0..self.filters.len() {
            let held: Vec<String> = match self.filters.get_mut(index) {
                Some(Filter::Count(count)) => vec![format!("Count: {count} lines")],
                Some(Filter::Last(kept, _)) => std::mem::take(kept).into(),
                Some(Filter::Xml(text)) => xml::lines(&std::mem::take(text)),
                _ => continue,
            };
            for line in held {
                self.line(index + 1, &line)?;
            }
        }
        self.sink.flush()?;
        if let Some(path) = self.saved {
            println!("Wrote {} lines to {}", self.lines, path.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io, rc::Rc};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn through(line: &str, pieces: &[&str]) -> String {
        let shared = Shared::default();
        let output = shared.clone();
        let mut pipeline = Line::parse(line).unwrap().pipeline(|| Sink::writer(output)).unwrap();
        for piece in pieces {
            pipeline.write(piece).unwrap();
        }
        pipeline.finish().unwrap();
        let bytes = shared.0.borrow().clone();
        String::from_utf8(bytes).unwrap()
    }

    const TEXT: [&str; 3] = ["alpha\nBe", "ta\ngamma\n", "delta"];

    #[test]
    fn filters_see_whole_lines_whatever_the_pieces() {
        assert_eq!(through("x", &TEXT), "alpha\nBeta\ngamma\ndelta");
        assert_eq!(through("x | match ^be", &TEXT), "Beta\n");
        assert_eq!(through("x | except a$", &TEXT), "");
        assert_eq!(through("x | find ^b", &TEXT), "Beta\ngamma\ndelta\n");
        assert_eq!(through("x | find amm | except lph | count", &TEXT), "Count: 2 lines\n");
        assert_eq!(through("x | find z", &TEXT), "");
        assert_eq!(through("x | match \"a|m\" | except beta | count", &TEXT), "Count: 3 lines\n");
        assert_eq!(through("x | last 2", &TEXT), "gamma\ndelta\n");
        assert_eq!(through("x | last 3 | match g", &TEXT), "gamma\n");
        assert_eq!(through("x | no-more", &TEXT), "alpha\nBeta\ngamma\ndelta");
        assert_eq!(through("x | count | count", &TEXT), "Count: 1 lines\n");
    }

    #[test]
    fn xml_is_made_of_json_before_filters_look() {
        let pieces = ["{\"a\": [1,\n", "2]}"];
        assert_eq!(through("x | display xml", &pieces), "<output>\n  <a>1</a>\n  <a>2</a>\n</output>\n");
        assert_eq!(through("x | match <a> | display xml | count", &pieces), "Count: 2 lines\n");
        assert_eq!(Line::parse("x | display xml").unwrap().display.as_deref(), Some("json"));
        assert!(Line::parse("x | display xml | display json").unwrap().is_plain());
    }

    #[test]
    fn save_writes_the_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        assert_eq!(through(&format!("x | match a | save {}", path.display()), &TEXT), "");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "alpha\nBeta\ngamma\ndelta\n");
    }

    #[test]
    fn the_command_and_its_form() {
        let line = Line::parse("show  configuration | display set | no").unwrap();
        assert_eq!((line.command.as_str(), line.display.as_deref()), ("show configuration", Some("set")));
        let line = Line::parse(r#"set  x "a  \"|\" b" | compare roll 3"#).unwrap();
        assert_eq!(line.command, r#"set x "a  \"|\" b""#);
        assert_eq!(line.display.as_deref(), Some("compare rollback 3"));
        assert_eq!(Line::parse("show | compare").unwrap().display.as_deref(), Some("compare"));
    }

    #[test]
    fn refusals() {
        let refusal = |line: &str| Line::parse(line).unwrap_err().to_string();
        assert!(refusal("x | display yaml").contains("json, xml or set"));
        assert!(refusal("x | grep a").contains("unknown pipe \"grep\"; pipes: compare, count, display"));
        assert!(refusal("x | compare 3").contains("rollback <number>"));
        assert!(refusal("x |").contains("nothing stands behind |"));
        assert!(refusal("x | match [").contains("no regular expression"));
        assert!(refusal("x | match").contains("takes <expression>"));
        assert!(refusal("x | last 0").contains("number"));
        assert!(refusal("x | count 3").contains("takes nothing"));
        assert!(refusal("x | save a | count").contains("last pipe"));
        assert!(refusal("x | match \"a").contains("closing quote"));
    }
}
