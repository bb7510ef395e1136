//! The routers that are compared, each configured for the same: eBGP with every session, everything accepted and told on,
//! no graceful restart.

mod bird;
mod frr;
mod gobgp;
mod holdfast;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use super::input::Session;
use crate::{
    error::{Doing, LabError, Result},
    host::{
        interrupt::NotYet,
        netns::Namespace,
        process::Guarded,
        programs::{self, Program},
    },
};

/// Which router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Make {
    /// This project's.
    Holdfast,
    /// This project's with a backup that follows it.
    Standby,
    /// The same, but its backup stands still while anything is measured: what telling it costs, without what its own work takes away.
    StandbyHeld,
    /// BIRD 2.
    Bird,
    /// FRRouting: zebra and bgpd.
    Frr,
    /// GoBGP.
    Gobgp,
}

impl Make {
    /// Those that are compared unless told otherwise.
    pub const USUAL: [Self; 4] = [Self::Holdfast, Self::Bird, Self::Frr, Self::Gobgp];

    /// Whether it can be told to keep its routes out of the kernel until it is asked to install them.
    pub fn can_be_held_back(self) -> bool {
        matches!(self, Self::Holdfast | Self::Bird | Self::Frr)
    }

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Standby => "holdfast+standby",
            Self::StandbyHeld => "holdfast+standby-held",
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::Gobgp => "gobgp",
        }
    }

    /// Whether it can put routes into the kernel by itself.
    pub fn forwards(self) -> bool {
        self != Self::Gobgp
    }

    /// Fails, with the package to install, unless it is there.
    pub fn check_installed(self) -> Result<()> {
        let programs: &[Program] = match self {
            Self::Holdfast | Self::Standby | Self::StandbyHeld => return programs::own_binary("holdfast").map(drop),
            Self::Bird => &[programs::BIRD, programs::BIRDC],
            Self::Frr => &[programs::ZEBRA, programs::BGPD, programs::VTYSH],
            Self::Gobgp => &[programs::GOBGPD],
        };
        programs.iter().try_for_each(|program| program.find().map(drop))
    }

    /// Starts one.
    pub fn start(self, plan: Plan) -> Result<Box<dyn Router>> {
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        Ok(match self {
            Self::Holdfast => Box::new(holdfast::Holdfast::start(plan, holdfast::Backup::None)?),
            Self::Standby => Box::new(holdfast::Holdfast::start(plan, holdfast::Backup::Follows)?),
            Self::StandbyHeld => Box::new(holdfast::Holdfast::start(plan, holdfast::Backup::StandsStill)?),
            Self::Bird => Box::new(bird::Bird::start(plan)?),
            Self::Frr => Box::new(frr::Frr::start(plan)?),
            Self::Gobgp => Box::new(gobgp::Gobgp::start(plan)?),
        })
    }
}

/// What a router is given.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it lives.
    pub namespace: Namespace,
    /// Its files.
    pub folder: PathBuf,
    /// Its neighbours; the first one is under the import policy, if there is one.
    pub sessions: Vec<Session>,
    /// Routes go into the kernel.
    pub forwarding: bool,
    /// But not before [`Router::install`].
    pub held_back: bool,
    /// Routes of the first neighbour get a community by an import policy.
    pub policy: bool,
}

/// The community that the import policy adds, before the change and after it.
const COMMUNITIES: [&str; 2] = ["65000:1", "65000:2"];

/// A running router. It ends with the value.
pub trait Router {
    /// Its version, as it says itself.
    fn version(&self) -> &str;
    /// Fails if one of its processes has ended.
    fn check_running(&mut self) -> Result<()>;
    /// All sessions are up: whatever is to be done before anything is measured.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }
    /// Everything is measured: fails if the router did not do it in the way that was asked for.
    fn vouch(&self) -> Result<()> {
        Ok(())
    }
    /// Whether a process, by its command line, works for the router's backup and is accounted for apart.
    fn is_backup(&self, _command_line: &str) -> bool {
        false
    }
    /// Has the import policy add the other community, as an operator would, to all routes that are there. Only asked of a router whose
    /// plan has that policy.
    fn change_policy(&mut self) -> Result<()>;
    /// From now on routes may go into the kernel. Only asked of a router whose plan held them back.
    fn install(&mut self) -> Result<()> {
        Err(LabError::Usage("this router cannot be told to keep its routes out of the kernel".into()))
    }
    /// The program that writes routes to the kernel, where it can be killed alone and comes back.
    fn writer(&self) -> Result<&'static str> {
        Err(LabError::Usage("this router has no process of its own for the kernel's table".into()))
    }
    /// Whether the kernel has these many routes, and exactly those that the router wants, by its own word.
    fn settled(&self, _routes: usize) -> std::result::Result<(), NotYet> {
        Err(LabError::Usage("this router does not say whether the kernel has what it wants".into()).into())
    }
}

impl Plan {
    fn router_id(&self) -> std::net::Ipv4Addr {
        self.sessions.first().map_or(std::net::Ipv4Addr::LOCALHOST, |session| session.router)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
        Ok(file)
    }

    /// Starts one program inside, its words in a file.
    fn spawn(&self, program: Program, arguments: &mut dyn FnMut(&mut Command)) -> Result<Guarded> {
        let words = self.folder.join(format!("{}.out", program.name));
        let said = fs::File::create(&words).doing(|| format!("create {}", words.display()))?;
        let mut command = Command::new(program.find()?);
        arguments(&mut command);
        command.stdin(Stdio::null()).stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
        Ok(Guarded::new(program.name, self.namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(words))
    }
}
