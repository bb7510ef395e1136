//! Where output ends: the terminal, or a file of `| save`.

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
}

impl Sink {
    /// Standard output.
    pub fn stdout() -> Self {
        Self { what: "the output".to_owned(), writer: Box::new(io::stdout()) }
    }

    /// Where nobody reads.
    pub fn nowhere() -> Self {
        Self { what: "nothing".to_owned(), writer: Box::new(io::sink()) }
    }

    /// A file, overwritten.
    pub fn file(path: &Path) -> Result<Self, CliError> {
        let what = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self { what, writer: Box::new(BufWriter::new(file)) }),
            Err(source) => Err(CliError::Output { what, source }),
        }
    }

    /// Any writer, for tests.
    #[cfg(test)]
    pub fn writer(writer: impl Write + 'static) -> Self {
        Self { what: "the test".to_owned(), writer: Box::new(writer) }
    }

    /// Writes as it is.
    pub fn write(&mut self, text: &str) -> Result<(), CliError> {
        let written = self.writer.write_all(text.as_bytes());
        written.map_err(|source| CliError::Output { what: self.what.clone(), source })
    }

    /// Everything written so far is to be seen.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.writer.flush().map_err(|source| CliError::Output { what: self.what.clone(), source })
    }
}
