//! What a router uses: all processes that live in its namespace, as the kernel accounts for them.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt};

use crate::{
    error::{Doing, LabError, Result},
    host::{netns::Namespace, procfs},
};

/// Of one program, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// User and system time, with that of children that have ended.
    pub cpu_s: f64,
    /// The most memory that was resident (VmHWM).
    pub peak_mib: f64,
}

/// By the program's name.
pub type Usage = BTreeMap<String, Used>;

/// Behind the names of programs that work for a backup: they are shown, and not part of any sum.
const OF_BACKUP: &str = " (backup)";

/// Who lives in a namespace.
fn inhabitants(namespace: &Namespace) -> Result<impl Iterator<Item = u32> + use<>> {
    let path = Namespace::path(namespace.name());
    let inode = fs::metadata(&path).doing(|| format!("look at {}", path.display()))?.ino();
    Ok(procfs::all_pids().into_iter().filter(move |pid| procfs::network_namespace(*pid) == Some(inode)))
}

/// The usage up to now of all processes in a namespace.
pub fn of(namespace: &Namespace, is_backup: impl Fn(&str) -> bool) -> Result<Usage> {
    let mut usage = Usage::new();
    for pid in inhabitants(namespace)? {
        // Who ends at this moment is in its parent's account.
        if let Some((mut name, peak)) = procfs::life_usage(pid) {
            if is_backup(&procfs::command_line(pid)) {
                name.push_str(OF_BACKUP);
            }
            let program = usage.entry(name).or_default();
            program.cpu_s += peak.cpu_s;
            program.peak_mib += peak.peak_mib;
        }
    }
    Ok(usage)
}

/// Processes in a namespace, by their command lines.
pub fn processes(namespace: &Namespace, is_it: impl Fn(&str) -> bool) -> Result<Vec<u32>> {
    Ok(inhabitants(namespace)?.filter(|pid| is_it(&procfs::command_line(*pid))).collect())
}

/// The one process of a program in a namespace.
pub fn process(namespace: &Namespace, program: &str) -> Result<u32> {
    let is_it = |pid: &u32| procfs::life_usage(*pid).is_some_and(|(name, _)| name == program);
    match inhabitants(namespace)?.filter(is_it).collect::<Vec<_>>().as_slice() {
        [pid] => Ok(*pid),
        other => Err(LabError::Subject(format!("processes of {program}: {other:?}, required 1"))),
    }
}

/// All programs together, but for a backup's.
pub fn sum(usage: &Usage) -> Used {
    let add = |sum: Used, one: Used| Used { cpu_s: sum.cpu_s + one.cpu_s, peak_mib: sum.peak_mib + one.peak_mib };
    usage.iter().filter(|(name, _)| !name.ends_with(OF_BACKUP)).map(|(_, used)| *used).fold(Used::default(), add)
}

/// What was used since an earlier look; peaks are peaks.
pub fn since(now: &Usage, before: &Usage) -> Usage {
    let less = |(name, used): (&String, &Used)| {
        let earlier = before.get(name).map_or(0.0, |used| used.cpu_s);
        (name.clone(), Used { cpu_s: (used.cpu_s - earlier).max(0.0), ..*used })
    };
    now.iter().map(less).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_sums() {
        let usage = |cpu_s| {
            Usage::from([
                ("a".to_owned(), Used { cpu_s, peak_mib: 3.0 }),
                ("b".to_owned(), Used { cpu_s: 1.0, peak_mib: 4.0 }),
            ])
        };
        let mut backup = usage(5.0);
        backup.insert(format!("a{OF_BACKUP}"), Used { cpu_s: 9.0, peak_mib: 9.0 });
        assert_eq!(sum(&backup), sum(&usage(5.0)));
        let used = since(&usage(5.0), &usage(2.0));
        assert_eq!(sum(&used), Used { cpu_s: 3.0, peak_mib: 7.0 });
        assert_eq!(sum(&since(&usage(5.0), &Usage::new())).cpu_s, 6.0);
    }
}
