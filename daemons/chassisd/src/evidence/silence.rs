//! How long each session was silent around the switch, by the kernel's own time stamps.
//!
//! The vault holds a duplicate of every session's descriptor, and the kernel remembers of each connection when data was
//! last sent and received (`tcp_info`). Sampled from before the freeze until the checks are done, that gives the longest time
//! without a byte in either direction, also of the interval that had begun before the first look; it does not depend on
//! the word of either routing engine.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use holdfast_ipc::mono_ns;
use holdfast_kernel::tcp::tcp_quiet;
use holdfast_vault::Vault;

use crate::limits;

/// The longest silences of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// As in the vault: "bgp/10.0.0.2".
    pub name: String,
    /// Without a byte of ours.
    pub out_ms: u64,
    /// Without a byte of the neighbour's.
    pub in_ms: u64,
}

/// One direction of a session.
#[derive(Clone, Copy, Debug)]
struct Direction {
    last_ns: u64,
    longest_ns: u64,
}

impl Direction {
    fn begun(last_ns: u64) -> Self {
        Direction { last_ns, longest_ns: 0 }
    }

    /// The kernel says that the last data went (or came) at `at_ns`.
    fn note(&mut self, at_ns: u64) {
        // Nearer than the kernel's clock can tell: the same data, seen again.
        if at_ns > self.last_ns + limits::SILENCE_RESOLUTION.as_nanos() as u64 {
            self.longest_ns = self.longest_ns.max(at_ns - self.last_ns);
            self.last_ns = at_ns;
        }
    }

    /// The longest, with the one that has not ended at `now_ns`.
    fn longest_ms(&self, now_ns: u64) -> u64 {
        self.longest_ns.max(now_ns.saturating_sub(self.last_ns)).div_ceil(1_000_000)
    }
}

struct Watched {
    name: String,
    descriptor: OwnedFd,
    /// Out and in; unknown once the kernel did not answer.
    directions: Option<(Direction, Direction)>,
}

impl Watched {
    /// When data was last sent and received, on the machine's clock.
    fn stamps(&self) -> Option<(u64, u64)> {
        let quiet = tcp_quiet(self.descriptor.as_fd()).ok()?;
        let now = mono_ns();
        let ago = |ms: u32| now.saturating_sub(u64::from(ms) * 1_000_000);
        Some((ago(quiet.since_sent_ms), ago(quiet.since_received_ms)))
    }

    fn look(&mut self) {
        self.directions = match (self.directions, self.stamps()) {
            (Some((mut out, mut into)), Some((sent, received))) => {
                out.note(sent);
                into.note(received);
                Some((out, into))
            }
            _ => None,
        };
    }
}

/// A thread that looks every few milliseconds until it is told to stop.
#[derive(Debug)]
pub struct SilenceWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Silence>>>,
}

impl SilenceWatch {
    /// Begins to watch every session that the vault holds.
    pub fn start(vault: &Vault) -> std::io::Result<Self> {
        let sessions = vault.list("", "").filter(|(_, entry)| entry.kind == "session");
        let mut watched = Vec::new();
        for (name, entry) in sessions {
            let descriptor = entry.descriptor.try_clone()?;
            let mut session = Watched { name: name.clone(), descriptor, directions: None };
            session.directions =
                session.stamps().map(|(sent, received)| (Direction::begun(sent), Direction::begun(received)));
            watched.push(session);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("silence".into()).spawn(move || watch(watched, &stopped))?;
        Ok(SilenceWatch { stop, thread: Some(thread) })
    }

    /// Ends the watch; waits one sample at most.
    pub fn finish(mut self) -> Vec<Silence> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for SilenceWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(mut watched: Vec<Watched>, stopped: &AtomicBool) -> Vec<Silence> {
    while !stopped.load(Ordering::Relaxed) {
        watched.iter_mut().for_each(Watched::look);
        std::thread::sleep(limits::SILENCE_SAMPLE);
    }
    watched.iter_mut().for_each(Watched::look);
    let now = mono_ns();
    let silence = |session: Watched| {
        let (out, into) = session.directions?;
        Some(Silence { name: session.name, out_ms: out.longest_ms(now), in_ms: into.longest_ms(now) })
    };
    watched.into_iter().filter_map(silence).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use holdfast_vault::Entry;

    use super::*;

    #[test]
    fn the_longest_interval_counts_also_when_it_has_not_ended() {
        let ms = |ms: u64| ms * 1_000_000;
        let mut direction = Direction::begun(ms(1_000));
        direction.note(ms(1_004)); // jitter of the kernel's clock
        direction.note(ms(1_300));
        direction.note(ms(1_350));
        assert_eq!(direction.longest_ms(ms(1_400)), 300);
        assert_eq!(direction.longest_ms(ms(2_350)), 1_000);
    }

    #[test]
    fn a_pause_of_a_real_connection_is_measured_in_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let duplicate = OwnedFd::from(ours.try_clone().unwrap());
        let mut exchange = || {
            let mut byte = [0];
            ours.write_all(b"x").unwrap();
            theirs.read_exact(&mut byte).unwrap();
            theirs.write_all(b"y").unwrap();
            ours.read_exact(&mut byte).unwrap();
        };
        exchange();
        let before = Instant::now();
        let mut vault = Vault::new(1);
        let entry = |descriptor: OwnedFd, kind: &str| Entry {
            descriptor,
            kind: kind.into(),
            metadata: Vec::new(),
            epoch: 1,
            deposited_unix_ms: 0,
        };
        // What is no connection is not measured, and says so by its absence.
        vault
            .deposit("bgp/10.0.0.9".into(), entry(std::fs::File::open("/dev/null").unwrap().into(), "session"))
            .unwrap();
        vault.deposit("bgp/listener/inet".into(), entry(listener.into(), "listener")).unwrap();
        vault.deposit("bgp/10.0.0.2".into(), entry(duplicate, "session")).unwrap();
        let watch = SilenceWatch::start(&vault).unwrap();
        std::thread::sleep(Duration::from_millis(120));
        exchange();
        let paused = before.elapsed().as_millis() as u64;
        let silences = watch.finish();
        assert_eq!(silences.iter().map(|silence| silence.name.as_str()).collect::<Vec<_>>(), ["bgp/10.0.0.2"]);
        // The kernel's clock ticks every 10 ms at most; the upper bound leaves room for a busy machine.
        for ms in [silences[0].out_ms, silences[0].in_ms] {
            assert!((100..=paused + 50).contains(&ms), "{silences:?}, paused for {paused} ms");
        }
    }
}
