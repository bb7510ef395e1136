//! Holdfast disturbed: its processes found by slot, its runs held at a point (docs/test-aids.md), its wholeness.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    RunOutcome,
    cli::{self, Running},
    holdfast::{Holdfast, REBOOT},
};
use crate::{
    error::{Doing, LabError, Result},
    host::{procfs, programs},
    limits,
};

/// The router's processes, supervisor apart.
const DAEMONS: [&str; 3] = ["mgd", "rpd", "pfed"];
/// The shortest time that may be asked for.
const CONFIRM_MINUTES: u32 = 1;
/// What is left of a damaged program: it names its parts and has none of them.
const DAMAGED_BYTES: usize = 64 << 10;
/// An image wants its programs so; what is run as it is does not mind.
const PROGRAM_MODE: u32 = 0o555;
/// The two slots.
const SLOTS: [&str; 2] = ["re0", "re1"];

impl Holdfast {
    /// The processes of one program in one slot.
    fn processes_in(&self, slot: &str, name: &str) -> Vec<u32> {
        let is_in = |pid: &u32| {
            let line = procfs::command_line(*pid);
            let mut words = line.split(' ').skip_while(|word| *word != "--slot");
            words.nth(1) == Some(slot)
        };
        self.pids_of(name).into_iter().filter(is_in).collect()
    }

    /// The one process of a slot.
    pub fn process(&self, slot: &str, name: &str) -> Result<u32> {
        match self.processes_in(slot, name).as_slice() {
            [pid] => Ok(*pid),
            other => Err(LabError::Subject(format!("processes of {slot}/{name}: {other:?}, required 1"))),
        }
    }

    /// The slot that runs at rest.
    pub fn primary_slot(&self) -> Result<String> {
        let has = |slot: &&&str| DAEMONS.iter().any(|name| !self.processes_in(slot, name).is_empty());
        match SLOTS.iter().filter(has).collect::<Vec<_>>().as_slice() {
            [slot] => Ok((**slot).to_owned()),
            other => Err(LabError::Subject(format!("slots with processes at rest: {other:?}, required 1"))),
        }
    }

    /// `Ok` when one slot runs with one process of each kind, none of them stopped, and the router answers.
    pub fn whole(&self) -> Result<()> {
        let slot = self.primary_slot()?;
        for name in DAEMONS {
            let pid = self.process(&slot, name)?;
            if procfs::is_stopped(pid) {
                return Err(LabError::Subject(format!("{slot}/{name} (process {pid}) is stopped")));
            }
        }
        if let [_] = self.pids_of("chassisd").as_slice() {
            self.cli.text("show bgp summary").map(drop)
        } else {
            Err(LabError::Subject("chassisd does not run".into()))
        }
    }

    /// The next run is to be held at a point.
    pub fn hold_at(&self, point: &str) -> Result<()> {
        let file = self.hold_file()?;
        self.release();
        // Written beside and renamed: chassisd must not read half of it.
        let beside = file.with_extension("new");
        fs::write(&beside, format!("{point}:{}", limits::HOLD_AT_MOST.as_millis()))
            .and_then(|()| fs::rename(&beside, file))
            .doing(|| format!("write {}", file.display()))
    }

    /// Whether the run stands at that point now.
    pub fn is_held(&self) -> bool {
        self.hold_file().is_ok_and(|file| file.with_extension(REACHED).exists())
    }

    /// Lets it go on; also forgets a point that was not reached.
    pub fn release(&self) {
        if let Ok(file) = self.hold_file() {
            let _ = fs::remove_file(file);
            let _ = fs::remove_file(file.with_extension(REACHED));
        }
    }

    /// From the next run on the stream of facts has this much room.
    pub fn shorten_stream(&self, bytes: usize) -> Result<()> {
        let file = stream_file(self.hold_file()?);
        fs::write(&file, bytes.to_string()).doing(|| format!("write {}", file.display()))
    }

    /// It has what it always has.
    pub fn restore_stream(&self) {
        if let Ok(file) = self.hold_file() {
            let _ = fs::remove_file(stream_file(file));
        }
    }

    fn hold_file(&self) -> Result<&Path> {
        self.hold.as_deref().ok_or_else(|| LabError::Subject("the router was started without its test aid".into()))
    }

    /// Requests a run, to be confirmed or not, and returns at once.
    pub fn begin_reboot(&self, confirmed: bool) -> Result<Running> {
        self.command(&if confirmed { format!("{REBOOT} confirm {CONFIRM_MINUTES}") } else { REBOOT.to_owned() })
    }

    /// Enters a command and returns at once.
    pub fn command(&self, line: &str) -> Result<Running> {
        self.cli.start(line)
    }

    /// Writes to the disk of the state-dir until nothing more fits.
    pub fn fill_disk(&self) -> Result<()> {
        let path = self.filler()?;
        let doing = || format!("fill the disk with {}", path.display());
        let mut file = fs::File::create(&path).doing(doing)?;
        let chunk = vec![0x5a; 1 << 16];
        loop {
            match file.write(&chunk) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).doing(doing),
            }
        }
    }

    /// Makes room again.
    pub fn empty_disk(&self) -> Result<()> {
        let path = self.filler()?;
        match fs::remove_file(&path) {
            // The run never came to the point at which the disk was to be filled.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome.doing(|| format!("remove {}", path.display())),
        }
    }

    fn filler(&self) -> Result<PathBuf> {
        Ok(self.state_dir_inside()?.join("filler"))
    }

    /// The state-dir is a disk of its own in the router's own mount namespace: seen through its supervisor.
    fn state_dir_inside(&self) -> Result<PathBuf> {
        let pid = match self.pids_of("chassisd").as_slice() {
            [pid] => *pid,
            other => return Err(LabError::Subject(format!("processes named chassisd: {other:?}, required 1"))),
        };
        let state_dir = self.state_dir.strip_prefix("/").unwrap_or(&self.state_dir);
        Ok(Path::new("/proc").join(pid.to_string()).join("root").join(state_dir))
    }

    /// Of a program's file only the beginning is left.
    pub fn damage(&self, program: &str) -> Result<()> {
        let path = self.own_program(program)?;
        let bytes = fs::read(&path).doing(|| format!("read {}", path.display()))?;
        // Removed first: the file may be a link to the one that everybody uses, and it is being run.
        let beginning = bytes.get(..DAMAGED_BYTES).unwrap_or_default();
        fs::remove_file(&path)
            .and_then(|()| fs::write(&path, beginning))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(PROGRAM_MODE)))
            .doing(|| format!("damage {}", path.display()))
    }

    /// A program's file is gone.
    pub fn remove_program(&self, program: &str) -> Result<()> {
        let path = self.own_program(program)?;
        fs::remove_file(&path).doing(|| format!("remove {}", path.display()))
    }

    /// A program's file is as it was.
    pub fn restore_program(&self, program: &str) -> Result<()> {
        let path = self.own_program(program)?;
        let _ = fs::remove_file(&path);
        match self.is_contained() {
            // An image holds the installation's bytes as they are.
            true => fs::copy(self.beside(program)?, &path)
                .and_then(|_| fs::set_permissions(&path, fs::Permissions::from_mode(PROGRAM_MODE)))
                .doing(|| format!("restore {}", path.display())),
            false => link_program(program, &path),
        }
    }

    /// The file that the next routing engine's program is started from.
    fn own_program(&self, program: &str) -> Result<PathBuf> {
        if !self.is_contained() {
            return self.beside(program);
        }
        let images = self.state_dir_inside()?.join("images");
        let found: Vec<PathBuf> = fs::read_dir(&images)
            .doing(|| format!("list {}", images.display()))?
            .filter_map(|entry| Some(entry.ok()?.path().join("usr/bin")))
            .filter(|folder| folder.is_dir())
            .collect();
        match found.as_slice() {
            [folder] => Ok(folder.join(program)),
            other => Err(LabError::Subject(format!("images of the router: {other:?}, required 1"))),
        }
    }

    fn beside(&self, program: &str) -> Result<PathBuf> {
        match self.program.parent() {
            Some(folder) if self.hold.is_some() => Ok(folder.join(program)),
            _ => Err(LabError::Subject("the router does not run from programs of its own".into())),
        }
    }

    /// The number of the last run; 0 if there was none.
    pub fn last_run(&self) -> u64 {
        let report = self.cli.json_even_if_failed("show chassis in-service-upgrade report").unwrap_or(Value::Null);
        run_id(&report)
    }

    /// How a run after run `before` ended, by its report.
    pub fn outcome_after(&self, before: u64, success: bool, log: Vec<String>) -> Result<RunOutcome> {
        let report = self.cli.json_even_if_failed("show chassis in-service-upgrade report").unwrap_or(Value::Null);
        if run_id(&report) <= before {
            return Err(LabError::Subject(format!("there is no report of the run that came after run {before}")));
        }
        Ok(Self::outcome_of(&report, success, log))
    }
}

/// A folder with the router's programs for this router alone; returns its `holdfast`.
pub(super) fn own_programs(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
    for program in ["holdfast", "chassisd"].into_iter().chain(DAEMONS) {
        link_program(program, &folder.join(program))?;
    }
    Ok(folder.join("holdfast"))
}

fn link_program(program: &str, to: &Path) -> Result<()> {
    let from = programs::own_binary(program)?;
    // Another file system cannot have a link to it.
    fs::hard_link(&from, to)
        .or_else(|_| fs::copy(&from, to).map(drop))
        .doing(|| format!("link {} to {}", to.display(), from.display()))
}

/// Where the router looks for the room that its stream of facts is to have.
pub(super) fn stream_file(hold: &Path) -> PathBuf {
    hold.with_extension("stream")
}

/// What chassisd appends to the file's name when the point has been reached.
const REACHED: &str = "reached";

fn run_id(report: &Value) -> u64 {
    let value = cli::find(report, "run_id").cloned().unwrap_or(Value::Null);
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}
