//! The interactive shell in a pseudo-terminal: prompt, Tab, `?`, the question, Ctrl-C, history.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    pty::openpty,
};

use crate::fakes::Router;

pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub fn start(router: &Router) -> Self {
        let pty = openpty(None, None).unwrap();
        // The shell must not hold its own terminal open when this test has gone.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let own = |fd: &OwnedFd| fd.try_clone().unwrap();
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_holdfast"), "cli", "--run-dir"])
            .arg(router.run_dir())
            .env("HOME", router.run_dir())
            .env("TERM", "xterm")
            .stdin(own(&pty.slave))
            .stdout(own(&pty.slave))
            .stderr(own(&pty.slave))
            .spawn()
            .unwrap();
        let mut reader = File::from(own(&pty.master));
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard: File::from(pty.master), screen, seen: String::new() }
    }

    /// Waits until the screen shows a text behind what was waited for before.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{text:?} is not shown ({error}): {:?}", self.seen),
            }
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    /// A test that fails leaves no shell behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_session_at_the_terminal() {
    let router = Router::start();
    let mut terminal = Terminal::start(&router);
    terminal.shows("@r1> ");
    terminal.types("sho\tv\t\r");
    terminal.shows("line one\r\nline two");
    terminal.shows("@r1> ");
    terminal.types("show ?");
    terminal.shows("Possible completions:\r\n  bgp      About BGP\r\n  version  About versions\r\n");
    terminal.shows("@r1> show ");
    terminal.types("version | ma\t\"one?\"\r");
    terminal.shows("line one");
    terminal.shows("@r1> ");
    terminal.types("half a line\x03");
    terminal.shows("@r1> ");
    terminal.types("request system reboot in-service\r");
    terminal.shows("Reboot the system ? [yes,no] ");
    terminal.types("\x03");
    terminal.shows("interrupted");
    terminal.shows("@r1> ");
    terminal.types("request system reboot in-service\r");
    terminal.shows("Reboot the system ? [yes,no] ");
    terminal.types("no\r");
    terminal.shows("Reboot cancelled");
    terminal.shows("@r1> ");
    terminal.types("request system reboot in-service\r");
    terminal.shows("Reboot the system ? [yes,no] ");
    terminal.types("yes\r");
    terminal.shows("ISSU: line 3");
    terminal.shows("line 4");
    terminal.shows("@r1> ");
    // The live view: drawn over itself, left with q and with Ctrl-C, and with the last picture when the run has ended.
    for key in ["q", "\x03"] {
        terminal.types("show chassis in-service-upgrade\r");
        terminal.shows("\x1b[?1049h");
        terminal.shows("> synchronizing");
        terminal.shows("q or Ctrl-C leaves");
        terminal.types(key);
        terminal.shows("\x1b[?1049l");
        terminal.shows("no longer watching; run 30 goes on");
        terminal.shows("@r1> ");
    }
    terminal.types("show chassis in-service-upgrade ending\r");
    terminal.shows("\x1b[?1049l");
    terminal.shows("nothing lost");
    terminal.shows("line 4");
    terminal.shows("@r1> ");
    terminal.types("show chassis in-service-upgrade | no-more\r");
    terminal.shows("a snapshot");
    terminal.shows("@r1> ");
    terminal.types("quit\r");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = terminal.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "quit does not end the shell: {:?}", terminal.seen);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success());
    let history = std::fs::read_to_string(router.run_dir().join(".holdfast_history")).unwrap();
    assert!(history.contains("show version | match \"one?\""), "{history}");
}
