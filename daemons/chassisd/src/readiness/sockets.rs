//! Sockets: the place where the backup will ask for facts listens, and operators reach the primary.

use std::path::Path;

use holdfast_proto::check::Rule;
use holdfast_proto::v1::Check;

use super::Snapshot;

/// `SO_ACCEPTCON` in the flags of /proc/net/unix: somebody listens.
const LISTENS: u32 = 0x0001_0000;

/// All checks on sockets of the run-dir.
pub fn checks(snapshot: &Snapshot) -> Vec<Check> {
    let replication = snapshot.run_dir.replication_socket(snapshot.master);
    let table = std::fs::read_to_string("/proc/net/unix").map_err(|error| format!("/proc/net/unix: {error}"));
    let replication = table.and_then(|table| listening(&table, &replication, snapshot.master));
    let link = snapshot.run_dir.master_management_socket();
    let expected = format!("{}/mgd.sock", snapshot.master);
    let management = match std::fs::read_link(&link) {
        Ok(target) if target == Path::new(&expected) => Ok(format!("it leads to {expected}")),
        Ok(target) => Err(format!("{} leads to {}", link.display(), target.display())),
        Err(error) => Err(format!("{}: {error}", link.display())),
    };
    vec![
        Rule::refuses("replication-socket", "Replication reachable", "rpd listens for a follower")
            .remedy("restart routing")
            .disturbing()
            .observe(replication),
        Rule::refuses("management-socket", "Management reachable", "the router's management socket is the primary's")
            .remedy("restart management")
            .observe(management),
    ]
}

/// Connecting would make rpd take us for its follower; so the kernel is asked. The path may be another one in a container.
fn listening(table: &str, socket: &Path, slot: &str) -> Result<String, String> {
    let whole = socket.to_string_lossy();
    let own = format!("{slot}/replication.sock");
    let listens = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = words.get(3).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        flags & LISTENS != 0 && words.get(7).is_some_and(|path| *path == whole || path.ends_with(&own))
    };
    match table.lines().find(listens) {
        Some(_) if std::fs::symlink_metadata(socket).is_ok() => Ok("rpd listens".into()),
        Some(_) => Err(format!("{whole} has been removed")),
        None => Err(format!("nobody listens on {whole}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found_in_the_kernels_table() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("re0")).unwrap();
        let path = directory.path().join("re0/replication.sock");
        let table = || std::fs::read_to_string("/proc/net/unix").unwrap();
        assert!(listening(&table(), &path, "re9").unwrap_err().contains("nobody listens"));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(listening(&table(), &path, "re9").unwrap(), "rpd listens");
        std::fs::remove_file(&path).unwrap();
        assert!(listening(&table(), &path, "re9").unwrap_err().contains("removed"));
        drop(listener);
        assert!(listening(&table(), &path, "re9").is_err());
    }
}
