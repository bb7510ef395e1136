use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The router's run-dir and the paths in it.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Names a run-dir; nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// chassisd's gRPC socket.
    pub fn chassis_socket(&self) -> PathBuf {
        self.path.join("chassis.sock")
    }

    /// The descriptor vault's socket.
    pub fn vault_socket(&self) -> PathBuf {
        self.path.join("vault.sock")
    }

    /// A link to the primary mgd's socket.
    pub fn master_management_socket(&self) -> PathBuf {
        self.path.join("mgd.sock")
    }

    /// A slot's own directory.
    pub fn slot_dir(&self, slot: &str) -> PathBuf {
        self.path.join(slot)
    }

    /// The gRPC socket of one daemon of one slot.
    pub fn daemon_socket(&self, slot: &str, name: &str) -> PathBuf {
        self.slot_dir(slot).join(format!("{name}.sock"))
    }

    /// Where a slot's rpd gives its facts to a follower.
    pub fn replication_socket(&self, slot: &str) -> PathBuf {
        self.slot_dir(slot).join("replication.sock")
    }

    /// ppmd's gRPC socket: one for the router, whichever slot is primary.
    pub fn periodic_socket(&self) -> PathBuf {
        self.path.join("ppmd.sock")
    }

    /// Where ppmd keeps what its successor needs.
    pub fn periodic_dir(&self) -> PathBuf {
        self.path.join("ppm")
    }

    /// What the names of this router's containers and control groups begin with: the same for the same run-dir, so that
    /// those of an earlier life are found by whoever cleans up.
    pub fn container_prefix(&self) -> String {
        // FNV-1a: short, and the same in every version.
        let hash = self.path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("holdfast-{hash:016x}")
    }

    /// Bundles and states of this router's containers.
    pub fn oci_dir(&self) -> PathBuf {
        self.path.join("oci")
    }

    /// The file whose lock makes a run-dir one router's.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// chassisd's process id, for people and service managers.
    pub fn pid_file(&self) -> PathBuf {
        self.path.join("chassisd.pid")
    }
}

/// The slot beside this one.
pub fn other_slot(slot: &str) -> &'static str {
    if slot == "re0" { "re1" } else { "re0" }
}
