//! Control groups of this process, in both hierarchies: what limits it and all its ancestors.

use std::path::{Path, PathBuf};

/// A limit of one group on the way to the root, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The group's directory.
    pub group: PathBuf,
    /// The most.
    pub most: u64,
    /// Now.
    pub used: u64,
}

impl Limit {
    /// What is left of it.
    pub fn left(&self) -> u64 {
        self.most.saturating_sub(self.used)
    }
}

/// Where the groups of a controller are: its mount point and our path below it.
fn group(controller: &str, cgroups: &str, root: &Path) -> Option<(PathBuf, PathBuf, bool)> {
    let find = |wanted: &str| {
        cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            names.split(',').any(|name| name == wanted).then(|| path.trim_start_matches('/').to_string())
        })
    };
    // The older hierarchy has one for each controller; where there is one it is the one in force.
    if let Some(path) = find(controller) {
        let mount = root.join(controller);
        return Some((mount.clone(), mount.join(path), false));
    }
    find("").map(|path| (root.to_path_buf(), root.join(path), true))
}

/// Every limit of the controller from our group up to the root. `files` are (newer, older) names of limit and use.
fn limits(
    controller: &str,
    cgroups: &str,
    root: &Path,
    files: [(&str, &str); 2],
    reclaimable: impl Fn(&Path) -> u64,
) -> Vec<Limit> {
    let Some((mount, own, unified)) = group(controller, cgroups, root) else { return Vec::new() };
    let (most_file, used_file) = if unified { files[0] } else { files[1] };
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let ancestors = own.ancestors().take_while(|group| group.starts_with(&mount)).map(Path::to_path_buf);
    ancestors
        .filter_map(|group| {
            // "max" is no number and no limit.
            let most = number(group.join(most_file))?;
            let used = number(group.join(used_file))?.saturating_sub(reclaimable(&group));
            Some(Limit { group, most, used })
        })
        .collect()
}

/// Bytes of memory. File pages that nobody uses count as used, but give way.
pub fn memory(cgroups: &str, root: &Path) -> Vec<Limit> {
    let files = [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")];
    limits("memory", cgroups, root, files, |group| {
        let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let value = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        value("total_inactive_file ").or_else(|| value("inactive_file ")).unwrap_or(0)
    })
}

/// Processes and threads.
pub fn pids(cgroups: &str, root: &Path) -> Vec<Limit> {
    limits("pids", cgroups, root, [("pids.max", "pids.current"); 2], |_| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_unified_hierarchy_is_climbed_to_its_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "a/memory.max", "1000\n");
        write(root, "a/memory.current", "900\n");
        write(root, "a/memory.stat", "anon 5\ninactive_file 300\n");
        write(root, "a/b/memory.max", "max\n");
        write(root, "a/b/memory.current", "10\n");
        write(root, "a/b/pids.max", "20\n");
        write(root, "a/b/pids.current", "7\n");
        let found = memory("0::/a/b\n", root);
        assert_eq!(found, [Limit { group: root.join("a"), most: 1000, used: 600 }]);
        assert_eq!(found[0].left(), 400);
        assert_eq!(pids("0::/a/b\n", root)[0].left(), 13);
    }

    #[test]
    fn the_older_hierarchy_has_its_own_names() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "memory/x/memory.limit_in_bytes", "500\n");
        write(root, "memory/x/memory.usage_in_bytes", "450\n");
        write(root, "memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 50\n");
        let cgroups = "4:memory:/x\n3:cpuset:/\n0::/\n";
        assert_eq!(memory(cgroups, root), [Limit { group: root.join("memory/x"), most: 500, used: 400 }]);
        assert!(pids(cgroups, root).is_empty(), "no limit that could be found is no limit");
        assert!(memory("nonsense", root).is_empty());
    }
}
