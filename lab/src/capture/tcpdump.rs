//! tcpdump, one per neighbour link.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::{
    error::{Doing, Result},
    host::{interrupt, netns::Namespace, process::Guarded, programs},
    limits,
};

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    child: Guarded,
    file: PathBuf,
    words: PathBuf,
}

impl Capture {
    /// Starts it on an interface of a namespace and waits until it listens.
    pub fn start(namespace: &Namespace, interface: &str, folder: &Path, name: &str) -> Result<Self> {
        let (file, words) = (folder.join(format!("{name}.pcap")), folder.join(format!("{name}.tcpdump.log")));
        let log = fs::File::create(&words).doing(|| format!("create {}", words.display()))?;
        let mut command = Command::new(programs::TCPDUMP.find()?);
        command
            .args([
                "-i",
                interface,
                "-n",
                "-U",
                "-s",
                "0",
                "-Z",
                "root",
                "-B",
                &limits::CAPTURE_BUFFER_KIB.to_string(),
                "-w",
            ])
            .arg(&file)
            .args(["tcp", "port", "179"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = Guarded::new("tcpdump", namespace.spawn(&mut command)?, Signal::SIGINT);
        let capture = Self { child, file, words };
        interrupt::wait_for("tcpdump to listen", limits::COMMAND_WITHIN, || {
            let said = fs::read_to_string(&capture.words).unwrap_or_default();
            if said.contains("listening on") { Ok(()) } else { Err(said.into()) }
        })?;
        Ok(capture)
    }

    /// Ends it; returns the file, and how many packets it missed (no number: nobody knows).
    pub fn stop(mut self) -> (PathBuf, Option<u64>) {
        self.child.end();
        let said = fs::read_to_string(&self.words).unwrap_or_default();
        (self.file.clone(), dropped(&said))
    }
}

/// Reads "0 packets dropped by kernel" (and "by interface", when there is one) from tcpdump's last words.
fn dropped(said: &str) -> Option<u64> {
    let counts: Vec<u64> = said
        .lines()
        .filter(|line| line.contains("dropped by kernel") || line.contains("dropped by interface"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_read() {
        assert_eq!(dropped("4 packets captured\n8 packets received by filter\n0 packets dropped by kernel\n"), Some(0));
        assert_eq!(dropped("3 packets dropped by kernel\n2 packets dropped by interface\n"), Some(5));
        assert_eq!(dropped("tcpdump: listening on eth0"), None);
    }
}
