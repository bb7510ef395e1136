//! The terminal: its size, its colours, its keyboard; given back as it was, however the view ends.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::fd::AsFd as _,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
};

use super::{
    layout::{self, View},
    span::{Line, Style},
};
use crate::cli::error::CliError;

/// What a terminal has that does not tell its size.
const COLUMNS_DEFAULT: u16 = 80;
/// See [`COLUMNS_DEFAULT`].
const ROWS_DEFAULT: u16 = 24;

/// Another screen, no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Whether there is a terminal to draw on.
pub fn usable() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// <https://no-color.org>: set and not empty means no colours.
fn has_colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The terminal while the view has it.
pub struct Screen {
    /// As it was; `None` when the keyboard is no terminal.
    keyboard: Option<Termios>,
    colors: bool,
    open: bool,
}

fn output(source: io::Error) -> CliError {
    CliError::Output { what: "the terminal".to_owned(), source }
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Self, CliError> {
        let stdin = io::stdin();
        let keyboard = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &keyboard {
            let mut raw = before.clone();
            // Keys come as they are typed, Ctrl-C as a character: it leaves the view like q.
            raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
            tcsetattr(&stdin, SetArg::TCSANOW, &raw).map_err(|error| output(error.into()))?;
        }
        let screen = Self { keyboard, colors: has_colors(), open: true };
        print(ENTER)?;
        Ok(screen)
    }

    /// Draws the view over the one before.
    pub fn draw(&mut self, view: &View) -> Result<(), CliError> {
        let (columns, rows) = size();
        let lines = layout::live(view, columns, rows);
        let mut out = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push_str("\r\n");
            }
            out.push_str(&painted(line, self.colors));
            out.push_str("\x1b[K");
        }
        out.push_str("\x1b[J");
        print(&out)
    }

    /// Whether q or Ctrl-C was typed; other keys mean nothing.
    pub fn wants_to_leave(&mut self) -> bool {
        if self.keyboard.is_none() {
            return false;
        }
        let stdin = io::stdin();
        let mut leave = false;
        loop {
            let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut ready, PollTimeout::ZERO), Ok(1..)) {
                return leave;
            }
            let mut keys = [0; 64];
            match stdin.lock().read(&mut keys) {
                Ok(0) | Err(_) => return true, // the terminal is gone
                Ok(count) => leave |= keys[..count].iter().any(|key| matches!(key, b'q' | b'Q' | 3)),
            }
        }
    }

    /// Gives the terminal back; the last picture stays on it.
    pub fn close(mut self, last: Option<&View>) -> Result<(), CliError> {
        self.restore();
        let Some(view) = last else { return Ok(()) };
        let (columns, _) = size();
        let lines = layout::last(view, columns);
        print(&lines.iter().map(|line| painted(line, self.colors) + "\n").collect::<String>())
    }

    fn restore(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        // Nothing can be done about a terminal that has gone.
        let _ = print(LEAVE);
        if let Some(before) = &self.keyboard {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.restore();
    }
}

fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(output)
}

/// Columns and rows.
fn size() -> (usize, usize) {
    let (columns, rows) = holdfast_kernel::terminal::size(io::stdout().as_fd()).unwrap_or((0, 0));
    let known = |value: u16, default: u16| usize::from(if value == 0 { default } else { value });
    (known(columns, COLUMNS_DEFAULT), known(rows, ROWS_DEFAULT))
}

/// Width of the terminal.
pub fn columns() -> u32 {
    size().0 as u32
}

fn painted(line: &Line, colors: bool) -> String {
    let mut out = String::new();
    for span in line {
        let code = match span.style {
            Style::Plain => "",
            Style::Title => "1",
            Style::Good => "32",
            Style::Busy => "33",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        if colors && !code.is_empty() && !span.text.trim().is_empty() {
            out.push_str(&format!("\x1b[{code}m{}\x1b[0m", span.text));
        } else {
            out.push_str(&span.text);
        }
    }
    out.trim_end_matches(' ').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::span::span;
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        let line = vec![span("ok", Style::Good), span(" and ", Style::Plain), span("  ", Style::Faint)];
        assert_eq!(painted(&line, true), "\x1b[32mok\x1b[0m and");
        assert_eq!(painted(&line, false), "ok and");
    }
}
