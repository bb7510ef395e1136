//! What the lab says while it works: one line per step on standard error, with the time since the start; coloured
//! where there is a terminal.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

/// Writes progress lines.
#[derive(Debug, Clone)]
pub struct Progress {
    start: Instant,
    verbose: bool,
    colours: bool,
}

impl Progress {
    /// Starts the clock.
    pub fn new(verbose: bool) -> Self {
        Self { start: Instant::now(), verbose, colours: std::io::stderr().is_terminal() }
    }

    /// A step.
    pub fn step(&self, what: &str) {
        self.write(what, "36");
    }

    /// Something that only the curious want to know.
    pub fn detail(&self, what: &str) {
        if self.verbose {
            self.write(what, "90");
        }
    }

    fn write(&self, what: &str, colour: &str) {
        let time = format!("{:7.1} s", self.start.elapsed().as_secs_f64());
        // A closed terminal must not end the lab before it has cleaned up.
        let _ = if self.colours {
            writeln!(std::io::stderr(), "\x1b[{colour}m{time}\x1b[0m  {what}")
        } else {
            writeln!(std::io::stderr(), "{time}  {what}")
        };
    }
}
