//! Where output ends: the terminal, or a file of `| save`.
//!
//! What goes to the terminal can be held back until it is known to be whole; more than is held is shown as it comes.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use super::error::CliError;

/// A place for lines.
pub struct Sink {
    what: String,
    writer: Box<dyn Write>,
    held: Option<Held>,
}

/// Output that nobody has seen.
struct Held {
    text: String,
    bytes_max: usize,
}

impl Sink {
    /// Standard output.
    pub fn stdout() -> Self {
        Self { what: "the output".to_owned(), writer: Box::new(io::stdout()), held: None }
    }

    /// Where nobody reads.
    pub fn nowhere() -> Self {
        Self { what: "nothing".to_owned(), writer: Box::new(io::sink()), held: None }
    }

    /// A file, overwritten.
    pub fn file(path: &Path) -> Result<Self, CliError> {
        let what = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self { what, writer: Box::new(BufWriter::new(file)), held: None }),
            Err(source) => Err(CliError::Output { what, source }),
        }
    }

    /// Any writer, for tests.
    #[cfg(test)]
    pub fn writer(writer: impl Write + 'static) -> Self {
        Self { what: "the test".to_owned(), writer: Box::new(writer), held: None }
    }

    /// From now on output is held back, up to a size.
    pub fn hold(&mut self, bytes_max: usize) {
        self.held = Some(Held { text: String::new(), bytes_max });
    }

    /// Whether nothing of what was written since [`Self::hold`] has been shown.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// What is held is never shown.
    pub fn forget(&mut self) {
        if let Some(held) = &mut self.held {
            held.text.clear();
        }
    }

    /// What is held is shown, and what comes from now on at once.
    pub fn let_go(&mut self) -> Result<(), CliError> {
        match self.held.take() {
            Some(held) => self.write(&held.text).and_then(|()| self.flush()),
            None => Ok(()),
        }
    }

    /// Writes as it is.
    pub fn write(&mut self, text: &str) -> Result<(), CliError> {
        if let Some(held) = &mut self.held {
            held.text.push_str(text);
            return if held.text.len() > held.bytes_max { self.let_go() } else { Ok(()) };
        }
        let written = self.writer.write_all(text.as_bytes());
        written.map_err(|source| CliError::Output { what: self.what.clone(), source })
    }

    /// Everything written so far is to be seen, but for what is held.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.writer.flush().map_err(|source| CliError::Output { what: self.what.clone(), source })
    }
}
