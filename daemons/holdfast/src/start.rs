//! `holdfast start`: looks before it leaps, enters the namespace, starts chassisd detached, and returns when the router is
//! up, or says why it is not; then nothing is left behind.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// chassisd bounds its own start (check 20 s, left-overs 8 s, daemons 30 s); beyond that it hangs.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// What chassisd may say before it is cut off; an error with some lines of a log.
const MESSAGE_MAX_LEN: u64 = 64 * 1024;
/// Lines of chassisd's log shown when it ended without a word.
const LOG_TAIL_LINES: usize = 8;

/// Arguments of `holdfast start`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration to start with; without it the router goes on with the one committed last
    #[arg(long)]
    config: Option<PathBuf>,
    /// The network namespace to run in, as `ip netns list` shows it (default: the current one)
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// Where the router's sockets are
    #[arg(long, default_value = "/run/holdfast")]
    run_dir: PathBuf,
    /// Where the router's lasting files are
    #[arg(long, default_value = "/var/lib/holdfast")]
    state_dir: PathBuf,
    /// How routing engines are run: plain processes, or OCI containers
    #[arg(long, default_value = "process", value_parser = ["process", "oci"])]
    re_runtime: String,
    /// The container runtime of `--re-runtime oci` (default: runc, crun or youki, as PATH has them)
    #[arg(long, value_name = "PROGRAM")]
    oci_runtime: Option<PathBuf>,
    /// Memory that a routing engine's container may use, in MiB (default: 4096)
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(32..))]
    re_memory_limit: Option<u64>,
    /// CPU time that a routing engine's container may use, 100 being one CPU (default: no limit but its weight)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(10..))]
    re_cpu_limit: Option<u32>,
    /// Stay attached; Ctrl-C stops the router
    #[arg(long)]
    foreground: bool,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let chassisd = check(&arguments)?;
    if let Some(netns) = &arguments.netns {
        holdfast_kernel::process::setns(&namespace(netns)?)?;
    }
    let mut command = Command::new(chassisd);
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(std::path::absolute(config)?);
    }
    command.arg("--run-dir").arg(std::path::absolute(&arguments.run_dir)?);
    command.arg("--state-dir").arg(std::path::absolute(&arguments.state_dir)?);
    command.args(["--re-runtime", &arguments.re_runtime]);
    command.args(container_options(&arguments)?);
    command.args(arguments.netns.iter().flat_map(|netns| ["--netns", netns]));
    if arguments.foreground {
        return Err(command.exec()).context("cannot run chassisd");
    }
    let made = make_log_dir(&arguments.state_dir)?;
    let outcome = start_detached(command, &arguments.state_dir.join("log/chassisd.log"));
    match outcome {
        Ok(text) => {
            println!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if let Some(made) = made {
                discard(&made, &arguments.state_dir);
            }
            Err(error)
        }
    }
}

/// What concerns containers, as chassisd has it on its command line.
fn container_options(arguments: &Arguments) -> anyhow::Result<Vec<OsString>> {
    let mut options: Vec<OsString> = Vec::new();
    if let Some(program) = &arguments.oci_runtime {
        options.extend(["--oci-runtime".into(), program.into()]);
    }
    let limits = [
        ("--re-memory-limit", arguments.re_memory_limit.map(|mib| mib.to_string())),
        ("--re-cpu-limit", arguments.re_cpu_limit.map(|percent| percent.to_string())),
    ];
    for (option, value) in limits {
        options.extend(value.into_iter().flat_map(|value| [option.into(), value.into()]));
    }
    if !options.is_empty() && arguments.re_runtime != "oci" {
        bail!("{} is for containers: give --re-runtime oci too, or leave it out", options[0].display());
    }
    Ok(options)
}

/// Everything that can be known before anything is touched; returns where chassisd is.
fn check(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match &arguments.config {
        Some(config) => check_file(config)?,
        None => {
            let committed = arguments.state_dir.join("config/active.conf");
            if !committed.exists() {
                bail!(
                    "nothing was committed in state-dir {} yet; start with --config FILE",
                    arguments.state_dir.display()
                );
            }
        }
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("a router changes interfaces and routes: start it as root");
    }
    if let Some(netns) = &arguments.netns {
        namespace(netns)?;
    }
    let own = std::env::current_exe().context("where this command is")?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    for name in ["chassisd", "mgd", "rpd", "pfed"] {
        let path = folder.join(name);
        if !path.is_file() {
            bail!("{} does not exist; the router's programs lie beside this command in one folder", path.display());
        }
    }
    Ok(folder.join("chassisd"))
}

fn check_file(config: &Path) -> anyhow::Result<()> {
    let failed = || format!("configuration {}", config.display());
    // Looked at before it is opened: opening a FIFO waits for a writer.
    if !fs::metadata(config).with_context(failed)?.is_file() {
        bail!("configuration {}: not a file", config.display());
    }
    File::open(config).with_context(failed)?;
    Ok(())
}

/// The file that stands for a named network namespace.
fn namespace(name: &str) -> anyhow::Result<PathBuf> {
    if name.is_empty() || name.contains('/') {
        bail!("'{name}' is not the name of a network namespace; `ip netns list` shows those that exist");
    }
    let places = ["/run/netns", "/var/run/netns"].map(|place| Path::new(place).join(name));
    places.into_iter().find(|path| path.exists()).with_context(|| {
        format!("network namespace '{name}' does not exist; `ip netns list` shows those that do, `ip netns add {name}` makes it")
    })
}

/// Makes STATE/log; returns the topmost directory that had to be made, to be removed when the start fails.
fn make_log_dir(state_dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let log_dir = std::path::absolute(state_dir)?.join("log");
    let made = log_dir.ancestors().take_while(|path| !path.exists()).last().map(Path::to_path_buf);
    let result = DirBuilder::new().recursive(true).mode(0o700).create(&log_dir);
    result.with_context(|| {
        format!("state-dir {}: it must be a directory that this user may write to", state_dir.display())
    })?;
    Ok(made)
}

/// Takes back what `make_log_dir` made, unless another start at the same moment got the state-dir: then it is in use.
fn discard(made: &Path, state_dir: &Path) {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(state_dir.join("lock"));
    // Held while it is removed. Where the file cannot even be made (disk full) nobody else has it either.
    let held = lock.ok().map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock));
    if !matches!(held, Some(Err(_))) {
        let _ = fs::remove_dir_all(made);
    }
}

fn start_detached(mut command: Command, log_path: &Path) -> anyhow::Result<String> {
    let log = OpenOptions::new().create(true).append(true).open(log_path);
    let log = log.with_context(|| log_path.display().to_string())?;
    let log_began_at = log.metadata()?.len();
    command.arg("--detach").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().context("cannot start chassisd")?;
    let said = listen(&mut child)?;
    if let Some(rest) = said.strip_prefix("ready: ") {
        return Ok(format!("router is up: {}", rest.trim_end()));
    }
    let status = child.wait()?;
    match said.strip_prefix("error: ") {
        Some(error) => bail!("{}", error.trim_end()),
        None => bail!("chassisd ended without a word ({status}); its log ends with:\n{}", tail(log_path, log_began_at)),
    }
}

/// Reads what chassisd says until it lets go of the line.
fn listen(child: &mut Child) -> anyhow::Result<String> {
    let mut stdout = child.stdout.take().context("chassisd has no standard output")?;
    let deadline = Instant::now() + START_DEADLINE;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() as i32).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) => {
                // Once this end of the line is closed chassisd takes everything back; it gets a moment to do so.
                drop(stdout);
                let pid = child.id();
                std::thread::sleep(Duration::from_secs(2));
                let _ = child.kill();
                bail!("chassisd (pid {pid}) did not come up within {} s", START_DEADLINE.as_secs());
            }
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error).context("waiting for chassisd"),
        }
        let before = said.len();
        let mut chunk = [0; 4096];
        let length = stdout.read(&mut chunk)?;
        said.extend_from_slice(&chunk[..length]);
        if said.len() == before || said.len() as u64 > MESSAGE_MAX_LEN {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
    }
}

/// The last lines written to a log since `from`.
fn tail(path: &Path, from: u64) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(from as usize..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_does_not_exist_is_an_error_with_its_remedy() {
        let error = namespace("holdfast-no-such").unwrap_err().to_string();
        assert!(error.contains("'holdfast-no-such' does not exist") && error.contains("ip netns list"), "{error}");
        assert!(namespace("../etc").is_err());
    }

    #[test]
    fn the_topmost_directory_made_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("a/b");
        assert_eq!(make_log_dir(&state_dir).unwrap(), Some(directory.path().join("a")));
        assert_eq!(make_log_dir(&state_dir).unwrap(), None);
    }

    #[test]
    fn a_state_dir_that_another_start_has_got_is_left_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("a");
        let made = make_log_dir(&state_dir).unwrap().unwrap();
        let other = File::create(state_dir.join("lock")).unwrap();
        let other = Flock::lock(other, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).unwrap();
        discard(&made, &state_dir);
        assert!(state_dir.join("log").is_dir());
        drop(other);
        discard(&made, &state_dir);
        assert!(!state_dir.exists());
    }
}
