//! Debian packages: installs those that are missing, and starts none of their services.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{self, say};

/// What the build and the labs need, and why.
const NEEDED: [(&str, &str); 11] = [
    ("build-essential", "a C compiler for libyang"),
    ("cmake", "builds libyang"),
    ("pkg-config", "finds libpcre2"),
    ("libpcre2-dev", "regular expressions of libyang"),
    ("iproute2", "namespaces and links of the labs"),
    ("tcpdump", "captures of the labs"),
    ("frr", "a neighbour"),
    ("bird2", "a neighbour"),
    ("gobgpd", "a neighbour, and a router to compare with"),
    ("exabgp", "a neighbour"),
    ("runc", "routing engines in containers"),
];

/// While this file answers "no" (101), no package's service is started. Debian's own interface for that.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing.
pub fn ensure() -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(name, _)| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let list = names.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "missing packages (by Debian's names): {list}; this system has no apt-get: install them by its own means"
        );
    }
    for (name, why) in &missing {
        say(&format!("package {name} is missing: {why}"));
    }
    shell::require_root("installing packages")
        .with_context(|| format!("or install them first: apt-get install --no-install-recommends {list}"))?;
    let _quiet = NoServices::new()?;
    // Lists that are old are as good as none.
    if !install(&names)? {
        shell::must(shell::command("apt-get").args(["update", "-q"]))?;
        if !install(&names)? {
            bail!("apt-get could not install: {list}; its words are above");
        }
    }
    Ok(())
}

fn install(names: &[&str]) -> Result<bool> {
    let mut command = shell::command("apt-get");
    command.args(["install", "-y", "-q", "--no-install-recommends"]).args(names);
    shell::succeeds(command.env("DEBIAN_FRONTEND", "noninteractive"))
}

fn installed(name: &str) -> bool {
    let output =
        shell::command("dpkg-query").args(["-W", "-f", "${db:Status-Status}", name]).stderr(Stdio::null()).output();
    output.is_ok_and(|o| o.stdout == b"installed")
}

/// As long as it lives, no package's service is started. A policy that was there before stays.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {POLICY}"))?;
        let guard = Self { ours: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {POLICY} executable"))?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
