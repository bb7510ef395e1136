//! Which processors there are, and who runs where.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::error::{Doing, Result};

/// Those that this thread may use.
pub fn all() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).doing(|| "ask for the processors".into())?;
    Ok((0..CpuSet::count()).filter(|processor| set.is_set(*processor).unwrap_or(false)).collect())
}

/// Keeps this thread to some of them.
pub fn run_on(processors: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    let chosen = processors.iter().try_for_each(|processor| set.set(*processor));
    let chosen = chosen.and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    chosen.doing(|| format!("run a thread on the processors {processors:?}"))
}
