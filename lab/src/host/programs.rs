//! Where programs are: our own binaries, and those of Debian's packages.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::error::{LabError, Result};

/// A program that comes with a Debian package.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its file name.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// Folders beside PATH.
    pub also_in: &'static [&'static str],
}

/// The `ip` command.
pub const IP: Program = Program { name: "ip", package: "iproute2", also_in: SBIN };
/// tcpdump.
pub const TCPDUMP: Program = Program { name: "tcpdump", package: "tcpdump", also_in: SBIN };
/// FRR's BGP daemon.
pub const BGPD: Program = Program { name: "bgpd", package: "frr", also_in: &["/usr/lib/frr", "/usr/libexec/frr"] };
/// FRR's routes in the kernel.
pub const ZEBRA: Program = Program { name: "zebra", package: "frr", also_in: &["/usr/lib/frr", "/usr/libexec/frr"] };
/// FRR's BFD.
pub const BFDD: Program = Program { name: "bfdd", package: "frr", also_in: &["/usr/lib/frr", "/usr/libexec/frr"] };
/// Gives a program a real-time priority.
pub const CHRT: Program = Program { name: "chrt", package: "util-linux", also_in: SBIN };
/// FRR's shell.
pub const VTYSH: Program = Program { name: "vtysh", package: "frr", also_in: SBIN };
/// BIRD.
pub const BIRD: Program = Program { name: "bird", package: "bird2", also_in: SBIN };
/// BIRD's shell.
pub const BIRDC: Program = Program { name: "birdc", package: "bird2", also_in: SBIN };
/// GoBGP.
pub const GOBGPD: Program = Program { name: "gobgpd", package: "gobgpd", also_in: SBIN };
/// GoBGP's own command.
pub const GOBGP: Program = Program { name: "gobgp", package: "gobgpd", also_in: SBIN };
/// ExaBGP.
pub const EXABGP: Program = Program { name: "exabgp", package: "exabgp", also_in: SBIN };

const SBIN: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

impl Program {
    /// Its full path, or how to install it.
    pub fn find(&self) -> Result<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(self.also_in.iter().map(PathBuf::from));
        folders.map(|folder| folder.join(self.name)).find(|file| file.is_file()).ok_or_else(|| {
            LabError::MissingProgram {
                program: self.name.to_owned(),
                package: self.package.to_owned(),
                looked_in: format!("PATH and {}", self.also_in.join(", ")),
            }
        })
    }
}

/// Finds one of our own binaries: in `HOLDFAST_BIN`, beside this executable, or in the build folders.
pub fn own_binary(name: &str) -> Result<PathBuf> {
    let folders = own_folders();
    folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| LabError::MissingBinary {
        name: name.to_owned(),
        looked_in: folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

fn own_folders() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os("HOLDFAST_BIN") {
        return vec![PathBuf::from(folder)];
    }
    let mut folders = Vec::new();
    if let Some(folder) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.push(folder.to_path_buf());
        // A test's executable lies in target/PROFILE/deps.
        folders.extend(folder.parent().map(Path::to_path_buf));
    }
    folders.extend(["target/release", "target/debug"].map(PathBuf::from));
    folders
}

/// Fails unless this process may make namespaces.
pub fn require_root() -> Result<()> {
    let uid = nix::unistd::geteuid().as_raw();
    if uid == 0 { Ok(()) } else { Err(LabError::NotRoot { uid }) }
}
