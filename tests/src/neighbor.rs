//! A BGP speaker of another make on a link of its own with the router under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use holdfast_lab::host::{
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
    /// addresses on interface `nNUMBER`, `.2` and `::2` the neighbour's.
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
        let file = self.folder.join("configuration");
        fs::write(&file, configuration).expect("the neighbour's configuration");
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

    /// Where a neighbour's configuration may have it log to.
    pub fn log_file(place: &Place, number: u8) -> PathBuf {
        place.folder.join(format!("n{number}")).join("log")
    }

    /// What it has logged there.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
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
