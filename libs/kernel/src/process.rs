//! Processes and namespaces: pidfds that cannot mean another process, start times, resource use, `setns`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::KernelError;

/// A process, named by descriptor: a pid that is used again later can never be mistaken for it.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: u32,
}

impl PidFd {
    /// Takes hold of a running process.
    pub fn open(pid: u32) -> io::Result<Self> {
        let raw_pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, raw_pid, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else owns it; the kernel makes it close-on-exec.
        let fd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
        Ok(Self { fd, pid })
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal (`libc::SIGTERM`, ...).
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo asks the kernel to fill in that of kill(2).
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), signal, info, 0) };
        if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until it has ended; `None` for ever. Returns whether it has. Works for processes that are no children.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = timeout.map(|t| std::time::Instant::now() + t);
        loop {
            let left = match deadline {
                None => PollTimeout::NONE,
                Some(at) => {
                    let ms = at.saturating_duration_since(std::time::Instant::now()).as_micros().div_ceil(1000);
                    PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left) {
                Ok(0) if deadline.is_none_or(|at| std::time::Instant::now() < at) => {}
                Ok(n) => return Ok(n > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PidFd {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// When a process was started, in clock ticks since the machine's start: with the pid it names one process for good.
pub fn start_time_ticks(pid: u32) -> io::Result<u64> {
    Ok(Stat::read(pid)?.start_time_ticks)
}

/// How long a process has run.
pub fn age(pid: u32) -> io::Result<Duration> {
    let started = start_time_ticks(pid)? * 1000 / sysconf(libc::_SC_CLK_TCK).max(1);
    // Ticks count from the machine's start, sleep included (proc_pid_stat(5)).
    let since_boot = Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)?);
    Ok(since_boot.saturating_sub(Duration::from_millis(started)))
}

/// Whether a process is stopped (SIGSTOP, or a tracer).
pub fn is_stopped(pid: u32) -> io::Result<bool> {
    Ok(matches!(Stat::read(pid)?.state, b'T' | b't'))
}

/// What a process uses of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Memory resident, in KiB.
    pub rss_kib: u64,
    /// CPU time spent, user and system together.
    pub cpu_ms: u64,
    /// Open descriptors; 0 where we may not look.
    pub descriptors: u32,
}

/// Reads a process's use of memory, CPU and descriptors from `/proc`.
pub fn usage(pid: u32) -> io::Result<ProcessUsage> {
    let stat = Stat::read(pid)?;
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u32);
    Ok(ProcessUsage {
        rss_kib: stat.rss_pages * sysconf(libc::_SC_PAGESIZE) / 1024,
        cpu_ms: stat.cpu_ticks * 1000 / sysconf(libc::_SC_CLK_TCK).max(1),
        descriptors,
    })
}

fn sysconf(name: i32) -> u64 {
    // SAFETY: sysconf takes an integer and returns one.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0)
}

/// The fields of `/proc/PID/stat` that we use (proc_pid_stat(5)).
struct Stat {
    state: u8,
    cpu_ticks: u64,
    start_time_ticks: u64,
    rss_pages: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown form")))
    }

    /// The command's name stands in parentheses and may itself hold spaces and parentheses: fields count from the last.
    fn parse(text: &str) -> Option<Self> {
        let rest = &text[text.rfind(')')? + 1..];
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            cpu_ticks: number(14)? + number(15)?,
            start_time_ticks: number(22)?,
            rss_pages: number(24)?,
        })
    }
}

/// Moves the calling *thread* into the network namespace that `path` stands for (`/run/netns/NAME`, `/proc/PID/ns/net`).
/// Threads and processes that it starts afterwards begin there: call it before any other thread exists.
pub fn setns(path: &Path) -> Result<(), KernelError> {
    let enter = || -> io::Result<()> {
        let file = std::fs::File::open(path)?;
        nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET)?;
        Ok(())
    };
    enter().map_err(|source| KernelError::Namespace { path: path.to_owned(), source })
}

/// Moves the calling *thread* into a new, empty network namespace.
pub fn unshare_network() -> Result<(), KernelError> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .map_err(|error| KernelError::Call { what: "make a network namespace", source: error.into() })
}

/// Has the kernel send `signal` to the command's process when the *thread* that spawned it ends.
pub fn die_with_parent(command: &mut Command, signal: i32) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made (prctl, getppid), and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have ended before the request was in force.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_seen_stopped_going_on_and_ended() {
        let mut command = Command::new("sleep");
        command.arg("60");
        die_with_parent(&mut command, libc::SIGKILL);
        let mut child = command.spawn().unwrap();
        let process = PidFd::open(child.id()).unwrap();
        assert_eq!(start_time_ticks(child.id()).unwrap(), start_time_ticks(process.pid()).unwrap());
        assert!(age(child.id()).unwrap() < Duration::from_secs(30), "it was started just now");
        assert!(!process.wait(Some(Duration::from_millis(20))).unwrap());
        process.signal(libc::SIGSTOP).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !is_stopped(child.id()).unwrap() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        process.signal(libc::SIGKILL).unwrap();
        assert!(process.wait(Some(Duration::from_secs(5))).unwrap());
        child.wait().unwrap();
        assert!(process.signal(libc::SIGTERM).is_err(), "it is gone, and its pid cannot be mistaken");
        assert!(PidFd::open(u32::MAX).is_err());
    }

    #[test]
    fn usage_of_ourselves_is_plausible() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.rss_kib > 500 && usage.descriptors >= 3, "{usage:?}");
        assert!(super::usage(0x7fff_fff0).is_err());
    }

    #[test]
    fn stat_survives_any_command_name() {
        let line = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.cpu_ticks, stat.start_time_ticks, stat.rss_pages), (b'S', 11 + 12, 19, 21));
        for end in 0..line.len() {
            let _ = Stat::parse(&line[..end]);
        }
        assert!(Stat::parse("7 no parentheses").is_none());
    }

    #[test]
    fn a_namespace_that_does_not_exist_is_named() {
        let error = setns(Path::new("/run/netns/holdfast-no-such")).unwrap_err();
        assert!(error.to_string().contains("holdfast-no-such"), "{error}");
    }

    #[test]
    fn a_new_namespace_has_only_a_loopback() {
        std::thread::spawn(|| {
            unshare_network().unwrap();
            let names = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            assert_eq!(names.lines().count(), 3, "{names}");
        })
        .join()
        .unwrap();
    }
}
