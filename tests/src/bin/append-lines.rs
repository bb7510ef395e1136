//! Writes numbered lines to a file until it is ended, or looks whether a file has every one: a user's program, for the tests of
//! home directories. Each number is also printed, once its line has been written.

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

/// As a program that logs all the time.
const EVERY: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", file] => write(file),
        ["check", file] => check(file),
        _ => Err(io::Error::other("append-lines (write | check) FILE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(file: &str) -> io::Result<()> {
    for number in 1.. {
        // Opened each time, as a shell's >> does.
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(format!("{number}\n").as_bytes())?;
        writeln!(io::stdout(), "{number}")?;
        io::stdout().flush()?;
        thread::sleep(EVERY);
    }
    Ok(())
}

fn check(file: &str) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    for (expected, line) in (1..).zip(text.lines()) {
        if line != format!("{expected}") {
            return Err(io::Error::other(format!("{file}: line {expected} is {line:?}")));
        }
    }
    println!("{}", text.lines().count());
    Ok(())
}
