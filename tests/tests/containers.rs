//! Routing engines in OCI containers, seen from outside. Needs runc.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use holdfast_lab::host::{
    containers,
    process::{self, OwnGroup},
    procfs, programs,
};
use holdfast_tests::{Place, Said, configuration, holdfast, run, wait_until};
use nix::sys::signal::Signal;

const WITHIN: Duration = Duration::from_secs(60);
const REBOOT: &str = "request system reboot in-service no-confirm force";

/// `holdfast start --re-runtime oci`, from a folder of programs if one is named, after a line of shell in a mount namespace of its own.
struct Start<'a> {
    place: &'a Place,
    more: Vec<String>,
    shell: Option<String>,
}

impl<'a> Start<'a> {
    fn new(place: &'a Place) -> Self {
        Self { place, more: vec!["--re-runtime".into(), "oci".into()], shell: None }
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|word| (*word).to_owned()));
        self
    }

    fn after(mut self, shell: String) -> Self {
        self.shell = Some(shell);
        self
    }

    fn run(self, configuration: &str) -> Said {
        let file = self.place.file("router.conf", configuration);
        let program = holdfast().get_program().to_owned();
        let mut command = match &self.shell {
            None => Command::new(&program),
            Some(line) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-ec", &format!("{line}\nexec \"$@\""), "sh"]).arg(&program);
                command
            }
        };
        command.arg("start").arg("--config").arg(&file).args(["--netns", self.place.namespace.name()]);
        command.arg("--run-dir").arg(self.place.run_dir()).arg("--state-dir").arg(self.place.state_dir());
        command.args(&self.more);
        run(command, WITHIN)
    }
}

fn start(place: &Place) {
    Start::new(place).run(&configuration(true, true)).assert_succeeded();
}

fn stop(place: &Place) -> Said {
    let mut command = holdfast();
    command.arg("stop").arg("--run-dir").arg(place.run_dir());
    run(command, WITHIN)
}

/// The place's processes of that program.
fn pids(place: &Place, program: &str) -> Vec<u32> {
    let is_it = |line: &str| line.split(' ').next().is_some_and(|path| path.rsplit('/').next() == Some(program));
    let wanted = |(_, line): &(u32, String)| is_it(line) && !line.contains(" lab ");
    place.processes().into_iter().filter(wanted).map(|(pid, _)| pid).collect()
}

fn pid(place: &Place, program: &str) -> u32 {
    let mut found = Vec::new();
    let one = wait_until(WITHIN, || {
        found = pids(place, program);
        found.len() == 1
    });
    assert!(one, "one {program} is expected: {found:?}");
    found[0]
}

/// The containers that exist, by their states.
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.run_dir().join("oci/state")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn assert_gone(place: &Place, containers_were: &[String]) {
    place.assert_no_process_and_no_file();
    let left: Vec<_> = containers::all().into_iter().filter(|name| containers_were.contains(name)).collect();
    assert!(left.is_empty(), "control groups are left: {left:?}");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let run_dir = place.run_dir().display().to_string();
    assert!(!mounts.contains(&run_dir), "mounts are left: {mounts}");
}

fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process's status");
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field").trim().to_owned()
}

fn namespace(pid: u32, kind: &str) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace")
}

#[test]
fn an_engine_has_what_it_needs_and_no_more() {
    let place = Place::new();
    Start::new(&place)
        .with(&["--re-memory-limit", "512", "--re-cpu-limit", "150"])
        .run(&configuration(true, true))
        .assert_succeeded();
    let names = names(&place);
    assert_eq!(names.len(), 2, "{names:?}");
    let chassisd = pid(&place, "chassisd");
    // CAP_NET_ADMIN is bit 12, CAP_NET_BIND_SERVICE bit 10.
    for (program, capabilities) in [("mgd", 0), ("rpd", 1 << 12 | 1 << 10), ("pfed", 1 << 12)] {
        let pid = pid(&place, program);
        for set in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
            let expected = if matches!(set, "CapInh" | "CapAmb") { 0 } else { capabilities };
            assert_eq!(u64::from_str_radix(&status(pid, set), 16), Ok(expected), "{set} of {program}");
        }
        assert_eq!(status(pid, "NoNewPrivs"), "1");
        assert_eq!(status(pid, "Seccomp"), "2", "system calls of {program} are not restricted");
        for kind in ["pid", "mnt", "ipc", "uts", "cgroup"] {
            assert_ne!(namespace(pid, kind), namespace(chassisd, kind), "{kind} namespace of {program}");
        }
        assert_eq!(namespace(pid, "net"), namespace(chassisd, "net"));
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let mounts = fs::read_to_string(format!("/proc/{pid}/mounts")).expect("mounts");
        let options = |target: &str| {
            let line = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some(target));
            let options = line.unwrap_or_else(|| panic!("{target} is not mounted: {mounts}")).split(' ').nth(3);
            options.unwrap_or_default().split(',').map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert!(options("/").contains("ro") && options("/usr").contains("ro"), "{mounts}");
        assert!(!root.join("usr/bin/sh").exists() && !root.join("etc/passwd").exists());
        assert!(!root.join("sys/class").exists(), "it sees the machine's devices");
        assert!(
            fs::read_dir(root.join(place.run_dir().strip_prefix("/").expect("absolute")).join("oci"))
                .expect("masked")
                .next()
                .is_none()
        );
    }
    assert_eq!(namespace(pid(&place, "mgd"), "pid"), namespace(pid(&place, "rpd"), "pid"), "one engine");
    assert_ne!(namespace(pid(&place, "mgd"), "pid"), namespace(pid(&place, "pfed"), "pid"));
    let shown = place.cli("show chassis routing-engine");
    shown.assert_succeeded();
    shown.assert_says(&["oci", "512 MiB", "150%", &names[0], &names[1]]);
    stop(&place).assert_succeeded();
    assert_gone(&place, &names);
}

#[test]
fn a_run_replaces_the_containers_and_leaves_none() {
    let place = Place::new();
    start(&place);
    let (before, rpd) = (names(&place), pid(&place, "rpd"));
    place.cli(REBOOT).assert_succeeded();
    assert!(wait_until(WITHIN, || names(&place).len() == 2), "{:?}", names(&place));
    let after = names(&place);
    assert!(before.iter().all(|name| !after.contains(name)), "{before:?} {after:?}");
    assert!(!procfs::alive(rpd) && !containers::all().iter().any(|name| before.contains(name)));
    place.cli(REBOOT).assert_succeeded();
    assert_eq!(names(&place), before);
    stop(&place).assert_succeeded();
    assert_gone(&place, &[before, after].concat());
}

#[test]
fn what_dies_is_replaced_in_place_and_a_dead_container_is_made_anew() {
    let place = Place::new();
    start(&place);
    let names = names(&place);
    for program in ["mgd", "pfed", "rpd"] {
        let old = pid(&place, program);
        process::signal(old, Signal::SIGKILL);
        assert!(wait_until(WITHIN, || matches!(pids(&place, program)[..], [new] if new != old)), "{program}");
        assert_eq!(self::names(&place), names);
    }
    let shown = || place.cli("show system processes").text;
    assert!(wait_until(WITHIN, || shown().matches("killed by signal 9").count() == 3), "{}", shown());
    // Process 1 of the routing engine: the kernel takes mgd and rpd with it.
    let mgd = pid(&place, "mgd");
    let init = pids(&place, "holdfast").into_iter().find(|pid| namespace(*pid, "pid") == namespace(mgd, "pid"));
    process::signal(init.expect("the container's init"), Signal::SIGKILL);
    assert!(wait_until(WITHIN, || matches!(pids(&place, "mgd")[..], [new] if new != mgd)));
    assert!(wait_until(WITHIN, || place.cli("show bgp summary").success), "{}", shown());
    stop(&place).assert_succeeded();
    assert_gone(&place, &names);
}

#[test]
fn what_a_killed_chassisd_leaves_is_removed_by_stop_and_by_start() {
    let place = Place::new();
    start(&place);
    let names = names(&place);
    let kill_chassisd = || {
        let chassisd = pid(&place, "chassisd");
        process::signal(chassisd, Signal::SIGKILL);
        assert!(wait_until(WITHIN, || !procfs::alive(chassisd)));
    };
    kill_chassisd();
    let rpd = pid(&place, "rpd"); // goes on routing
    start(&place);
    assert!(!procfs::alive(rpd));
    place.cli("show system alarms").assert_says(&["left by an earlier chassisd"]);
    kill_chassisd();
    // The daemons are gone as well: nothing but the empty containers is left, and they are found.
    for program in ["mgd", "rpd", "pfed"] {
        process::signal(pid(&place, program), Signal::SIGKILL);
    }
    let said = stop(&place);
    said.assert_succeeded();
    said.assert_says(&["what it had left was ended", "containers holdfast-"]);
    assert_gone(&place, &names);
}

#[test]
fn the_memory_limit_is_named_when_it_is_reached() {
    let place = Place::new();
    let routes: String = (0..30_000_u32)
        .map(|n| {
            format!("route 10.{}.{}.0/24 discard; route 11.{}.{}.0/24 discard;\n", n / 256, n % 256, n / 256, n % 256)
        })
        .collect();
    let text = format!("{}routing-options {{ static {{\n{routes}}} }}\n", configuration(true, true));
    let said = Start::new(&place).with(&["--re-memory-limit", "32"]).run(&text);
    said.assert_refused(&["has reached its memory limit of 32 MiB", "--re-memory-limit"]);
    place.assert_nothing_left();
    assert_gone(&place, &[]);
}

/// A user's program: ends with the value.
struct Writer {
    child: Child,
    what: String,
}

impl Writer {
    fn start(mut command: Command, what: &str) -> Self {
        command.own_group().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{what}: {error}")), what: what.into() }
    }

    /// The last number that it said was written.
    fn end(mut self) -> u64 {
        process::signal(self.child.id(), Signal::SIGTERM);
        let mut text = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("its words");
        let last = text.lines().last().and_then(|line| line.parse().ok());
        last.unwrap_or_else(|| panic!("{} wrote nothing", self.what))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_append-lines");

/// A command inside the container that this process is in.
fn inside(place: &Place, pid: u32) -> Command {
    let mut command = Command::new("runc");
    command.arg("--root").arg(place.run_dir().join("oci/state")).arg("exec");
    command.arg(containers::name_of(pid).expect("a container")).arg("/home/user/append-lines");
    command
}

/// What `append-lines check` counted.
fn lines_of(mut command: Command, file: &str) -> u64 {
    let said = run(
        {
            command.args(["check", file]);
            command
        },
        WITHIN,
    );
    said.assert_succeeded();
    said.text.trim().parse().expect("a number of lines")
}

#[test]
fn home_directories_in_containers_miss_no_line() {
    let place = Place::new();
    start(&place);
    let home = place.state_dir().join("volumes/home/user");
    fs::create_dir(&home).expect("a user's home");
    fs::copy(PROGRAM, home.join("append-lines")).expect("a user's program");
    let file = |name: &str| home.join(name).display().to_string();
    let on_host = {
        let mut command = Command::new(PROGRAM);
        command.args(["write", &file("host")]);
        Writer::start(command, "the writer on the host")
    };
    let mut logins = Vec::new();
    for run in ["first", "second"] {
        let mut login = inside(&place, pid(&place, "mgd"));
        login.args(["write", &format!("/home/user/{run}")]);
        logins.push((run, Writer::start(login, "the writer in the old engine")));
        assert!(wait_until(WITHIN, || fs::metadata(file(run)).is_ok_and(|file| file.len() > 100)));
        place.cli(REBOOT).assert_succeeded();
    }
    let new = pid(&place, "mgd");
    for (name, login) in logins {
        // It has ended with its engine; every line that it knows of is there, and none is torn or missing.
        assert_eq!(lines_of(inside(&place, new), &format!("/home/user/{name}")), login.end(), "{name}");
    }
    let last = on_host.end();
    let seen = lines_of(inside(&place, new), "/home/user/host");
    assert!(last > 100 && (last..=last + 1).contains(&seen), "{last} lines written, {seen} seen in the new engine");
    stop(&place).assert_succeeded();
    assert_eq!(lines_of(Command::new(PROGRAM), &file("host")), seen, "the volume outlives the router");
}

#[test]
fn home_directories_of_plain_engines_miss_no_line() {
    let place = Place::new();
    let file = place.file("router.conf", &configuration(true, true));
    place.start(&file).assert_succeeded();
    let lines = place.folder.join("lines").display().to_string();
    let mut command = Command::new(PROGRAM);
    command.args(["write", &lines]);
    let writer = Writer::start(command, "the writer");
    assert!(wait_until(WITHIN, || fs::metadata(&lines).is_ok()));
    place.cli(REBOOT).assert_succeeded();
    let last = writer.end();
    assert!((last..=last + 1).contains(&lines_of(Command::new(PROGRAM), &lines)));
    stop(&place).assert_succeeded();
}

/// The only image in the state-dir.
fn image(place: &Place) -> PathBuf {
    let mut entries = fs::read_dir(place.state_dir().join("images")).expect("images").flatten();
    let image = entries.next().expect("an image").path();
    assert!(entries.next().is_none());
    image
}

#[test]
fn a_corrupt_image_refuses_run_and_start() {
    let place = Place::new();
    start(&place);
    let (names, image) = (names(&place), image(&place));
    let pfed = image.join("usr/bin/pfed");
    let whole = fs::read(&pfed).expect("pfed");
    let replace = |bytes: &[u8]| {
        fs::remove_file(&pfed).expect("pfed is replaced");
        fs::write(&pfed, bytes).expect("pfed is replaced");
        fs::set_permissions(&pfed, fs::Permissions::from_mode(0o555)).expect("pfed is replaced");
    };
    let mut corrupt = whole.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 1;
    replace(&corrupt);
    let refused = place.cli(REBOOT);
    refused.assert_refused(&["Image digests : Invalid", "usr/bin/pfed was changed", "refused, nothing changed"]);
    replace(&whole);
    place.cli(REBOOT).assert_succeeded();
    stop(&place).assert_succeeded();
    replace(&corrupt[..middle]);
    Start::new(&place).run(&configuration(true, true)).assert_refused(&["usr/bin/pfed has ", "remove that directory"]);
    assert_gone(&place, &names);
    fs::remove_dir_all(&image).expect("the remedy");
    start(&place);
    assert!(image.exists(), "it is made anew");
    stop(&place).assert_succeeded();
}

#[test]
fn programs_changed_on_disk_refuse_a_run_of_plain_engines() {
    let place = Place::new();
    let folder = place.folder.join("bin");
    fs::create_dir(&folder).expect("a folder of programs");
    for name in ["holdfast", "chassisd", "mgd", "rpd", "pfed"] {
        fs::copy(programs::own_binary(name).expect("a program"), folder.join(name)).expect("a copy");
    }
    let file = place.file("router.conf", &configuration(true, true));
    let mut command = Command::new(folder.join("holdfast"));
    command.arg("start").arg("--config").arg(&file).args(["--netns", place.namespace.name()]);
    command.arg("--run-dir").arg(place.run_dir()).arg("--state-dir").arg(place.state_dir());
    run(command, WITHIN).assert_succeeded();
    fs::remove_file(folder.join("rpd")).expect("rpd goes");
    place.cli(REBOOT).assert_refused(&["Image digests : Invalid", "bin/rpd", "refused, nothing changed"]);
    fs::copy(folder.join("pfed"), folder.join("rpd")).expect("another rpd");
    place.cli(REBOOT).assert_refused(&["bin/rpd is not the program that this router was started from"]);
    stop(&place).assert_succeeded();
}

/// A program that is found as a container runtime.
fn runtime(place: &Place, script: &str) -> String {
    let path = place.file("runtime", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
    path.display().to_string()
}

fn assert_start_refused(place: &Place, start: Start<'_>, words: &[&str]) {
    start.run(&configuration(true, true)).assert_refused(words);
    place.assert_nothing_left();
    assert_gone(place, &[]);
    let made = |path: &Path| path.join("chassis.json").exists();
    assert!(!made(&place.state_dir()), "a state-dir that was made for a start that failed is left");
}

#[test]
fn a_machine_without_what_containers_need_is_told_what() {
    let place = Place::new();
    let asked = |program: &str| Start::new(&place).with(&["--oci-runtime", program]);
    assert_start_refused(&place, asked("/no/such/runc"), &["/no/such/runc", "apt-get install runc"]);
    let hidden = "mount -t tmpfs none /usr/sbin"; // where Debian has runc
    assert_start_refused(&place, Start::new(&place).after(hidden.into()), &["none of runc, crun, youki is in PATH"]);
    let old = runtime(&place, "echo 'runc version 1.0.0-rc5'; echo 'spec: 1.0.0'");
    assert_start_refused(&place, asked(&old), &["1.0.0-rc5", "1.0.2", "--oci-runtime"]);
    let none = runtime(&place, "exit 3");
    assert_start_refused(&place, asked(&none), &["--version failed", "exit status: 3"]);
    let readonly = "for group in /sys/fs/cgroup/*; do mount -o remount,bind,ro $group || true; done; mount -o remount,bind,ro /sys/fs/cgroup";
    assert_start_refused(&place, Start::new(&place).after(readonly.into()), &["cgroup", "must be writable"]);
    let state_dir = place.state_dir();
    fs::create_dir(&state_dir).expect("a state-dir");
    let noexec = format!("mount -t tmpfs -o noexec none {}", state_dir.display());
    Start::new(&place).after(noexec).run(&configuration(true, true)).assert_refused(&["noexec", "--state-dir"]);
    assert_gone(&place, &[]);
    Start::new(&place).with(&["--re-memory-limit", "5"]).run("").assert_refused(&["--re-memory-limit"]);
}

#[test]
fn options_of_containers_are_refused_without_containers() {
    let place = Place::new();
    let mut start = Start::new(&place);
    start.more = vec!["--re-cpu-limit".into(), "50".into()];
    start.run(&configuration(true, true)).assert_refused(&["--re-cpu-limit", "--re-runtime oci"]);
    place.assert_nothing_left();
}
