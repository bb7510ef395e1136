//! A BGP speaker of another make on a link of its own with the router under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use holdfast_lab::host::{
    cleanup,
    netns::{self, Namespace},
    process::{self, Guarded},
    programs,
};
use nix::sys::signal::Signal;

use crate::Place;

/// A neighbour: its end of the link, its process and its console. All goes with the value and its [`Place`].
pub struct Neighbor {
    /// Its namespace; the interface to the router is `to-router`.
    pub namespace: Namespace,
    folder: PathBuf,
    console: Console,
    process: Option<Guarded>,
}

#[derive(Clone, Copy)]
enum Console {
    Frr,
    Bird,
}

impl Neighbor {
    /// FRR's bgpd with a configuration of its own. `number` names the link: 10.0.NUMBER.1 and 2001:db8:NUMBER::1 are the router's
    /// addresses on interface `nNUMBER`, `.2` and `::2` the neighbour's. `LOG` in a configuration stands for its own log.
    pub fn frr(place: &Place, number: u8, configuration: &str) -> Self {
        Self::start(place, number, Console::Frr, configuration)
    }

    /// BIRD 2, likewise.
    pub fn bird(place: &Place, number: u8, configuration: &str) -> Self {
        Self::start(place, number, Console::Bird, configuration)
    }

    fn start(place: &Place, number: u8, console: Console, configuration: &str) -> Self {
        let name = format!("n{number}");
        let namespace = Namespace::create(&place.id.namespace(&name)).expect("a namespace");
        let ends = [format!("10.0.{number}.1/24"), format!("10.0.{number}.2/24")];
        netns::link((&place.namespace, &name, &ends[0]), (&namespace, "to-router", &ends[1])).expect("a link");
        for (end, interface, host) in [(&place.namespace, name.as_str(), 1), (&namespace, "to-router", 2)] {
            end.ip(&format!("address add 2001:db8:{number}::{host}/64 dev {interface} nodad")).expect("an address");
        }
        let folder = place.folder.join(&name);
        fs::create_dir(&folder).expect("the neighbour's folder");
        let mut neighbor = Self { namespace, folder, console, process: None };
        neighbor.begin(configuration);
        neighbor
    }

    /// Starts its process (anew) with a configuration.
    pub fn begin(&mut self, configuration: &str) {
        self.process = None; // ends the one before
        let file = self.write(configuration);
        let mut command = match self.console {
            Console::Frr => self.bgpd(&file),
            Console::Bird => self.birdd(&file),
        };
        let words = self.folder.join("words");
        let said = fs::File::create(&words).expect("a file for what it says");
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("a descriptor")).stderr(said);
        let child = self.namespace.spawn(&mut command).expect("the neighbour starts");
        self.process = Some(Guarded::new("neighbor", child, Signal::SIGTERM).with_words(words));
    }

    fn write(&self, configuration: &str) -> PathBuf {
        let file = self.folder.join("configuration");
        let text = configuration.replace("LOG", &self.log_file().display().to_string());
        fs::write(&file, text).expect("the neighbour's configuration");
        file
    }

    /// BIRD goes on with another configuration.
    #[track_caller]
    pub fn configure(&self, configuration: &str) {
        self.write(configuration);
        let said = self.ask("configure");
        assert!(said.contains("Reconfigured") || said.contains("Reconfiguration in progress"), "{said}");
    }

    fn bgpd(&self, file: &Path) -> Command {
        fs::write(self.folder.join("vtysh.conf"), "").expect("a file");
        let mut command = Command::new(programs::BGPD.find().expect("bgpd"));
        command.arg("-f").arg(file).arg("-i").arg(self.folder.join("pid"));
        command.arg("--vty_socket").arg(&self.folder).arg("-z").arg(self.folder.join("zserv.api"));
        // -S: stay root (the folder is root's); -Z: no zebra; -P 0: no TCP console.
        command.args(["-S", "-Z", "-P", "0", "-p", "179"]);
        command
    }

    fn birdd(&self, file: &Path) -> Command {
        let mut command = Command::new(programs::BIRD.find().expect("bird"));
        command.arg("-f").arg("-c").arg(file).arg("-s").arg(self.folder.join("ctl"));
        command.arg("-P").arg(self.folder.join("pid"));
        command
    }

    /// Kills it: not a word to the router.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process::signal(process.pid(), Signal::SIGKILL);
            process.wait_for_end();
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What it has logged there.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// How often a session has ended, by its own log: FRR has to log neighbours' changes, BIRD's protocol its events.
    pub fn times_down(&self) -> usize {
        let is_end =
            |line: &&str| line.contains("BGP session closed") || line.contains("%ADJCHANGE") && line.contains(" Down");
        self.log().lines().filter(is_end).count()
    }

    /// Whether its only session is up, as it says itself. BIRD's protocol is to be called `subject`.
    pub fn is_up(&self) -> bool {
        match self.console {
            Console::Frr => self.ask("show bgp neighbors json").contains("\"bgpState\":\"Established\""),
            Console::Bird => self.ask("show protocols subject").contains("Established"),
        }
    }

    /// What it has of one IPv4 prefix, with all attributes and without times; empty: nothing.
    pub fn route(&self, prefix: &str) -> String {
        let said = match self.console {
            Console::Frr => self.ask(&format!("show bgp ipv4 unicast {prefix}")),
            Console::Bird => self.ask(&format!("show route for {prefix} protocol subject all")),
        };
        if said.contains("Network not found") || said.contains("not in table") {
            return String::new();
        }
        let is_timeless = |line: &&str| !line.contains("Last update") && !line.starts_with("Access restricted");
        said.lines().filter(is_timeless).map(without_time).collect::<Vec<_>>().join("\n")
    }

    /// What it answers to a command at its console; empty: it does not answer.
    pub fn ask(&self, line: &str) -> String {
        let mut command = match self.console {
            Console::Frr => {
                let mut command = Command::new(programs::VTYSH.find().expect("vtysh"));
                command.arg("--vty_socket").arg(&self.folder).arg("--config_dir").arg(&self.folder);
                command.args(["-d", "bgpd"]);
                for part in line.split(';') {
                    command.arg("-c").arg(part.trim());
                }
                command
            }
            Console::Bird => {
                let mut command = Command::new(programs::BIRDC.find().expect("birdc"));
                command.arg("-s").arg(self.folder.join("ctl")).arg(line);
                command
            }
        };
        process::run(&mut command).unwrap_or_default()
    }
}

/// BIRD puts the time of the last change behind the protocol: `[subject 12:34:56.789]`.
fn without_time(line: &str) -> String {
    match (line.find("[subject "), line.find(']')) {
        (Some(from), Some(to)) if from < to => format!("{}[subject]{}", &line[..from], &line[to + 1..]),
        _ => line.to_owned(),
    }
}

impl Drop for Neighbor {
    fn drop(&mut self) {
        let pid = self.process.as_ref().map(Guarded::pid);
        self.process = None; // ends it
        pid.into_iter().for_each(cleanup::remove_crash_log_folder);
    }
}
