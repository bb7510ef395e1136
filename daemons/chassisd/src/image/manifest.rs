//! `manifest.json`: what an image is and which files it has.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{CONTAINED, digest};

/// The form that this version writes and reads.
const FORMAT: u32 = 1;
/// Four programs and some ten libraries today.
const FILES_MAX: usize = 1024;
/// Digits of the list's digest in an image's name: enough that two lists never meet by chance.
const NAME_DIGITS: usize = 16;

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// The image's name, which is its directory's.
    pub name: String,
    /// Of the software.
    pub version: String,
    /// The kind of machine, as Rust names it.
    pub architecture: String,
    /// Every file, by path.
    pub files: Vec<FileEntry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Below the image's directory.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Of the software that runs, with these files.
    pub fn new(mut files: Vec<FileEntry>) -> Self {
        files.sort();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let name = name(&version, &files);
        Manifest { format: FORMAT, name, version, architecture: std::env::consts::ARCH.into(), files }
    }

    /// Reads a manifest and judges all that can be judged without looking at the files.
    pub fn parse(text: &str, directory_name: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| format!("manifest.json: {error}"))?;
        manifest.check(directory_name)?;
        Ok(manifest)
    }

    fn check(&self, directory_name: &str) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("manifest.json has format {}; this version reads format {FORMAT}", self.format));
        }
        let own = std::env::consts::ARCH;
        if self.architecture != own {
            return Err(format!("it was made for {}, this machine is {own}", self.architecture));
        }
        if self.files.len() > FILES_MAX {
            return Err(format!("manifest.json names {} files; at most {FILES_MAX} are possible", self.files.len()));
        }
        let mut seen = BTreeSet::new();
        for file in &self.files {
            if !is_below_usr(&file.path) {
                return Err(format!("manifest.json names {:?}, which is no path below usr/", file.path));
            }
            if !seen.insert(file.path.as_str()) {
                return Err(format!("manifest.json names {} twice", file.path));
            }
        }
        if let Some(missing) = CONTAINED.iter().find(|name| !seen.contains(format!("usr/bin/{name}").as_str())) {
            return Err(format!("it is incomplete: usr/bin/{missing} is not in it"));
        }
        if self.name != name(&self.version, &self.files) || self.name != directory_name {
            return Err("manifest.json was changed: its list of files does not fit the image's name".into());
        }
        Ok(())
    }
}

fn name(version: &str, files: &[FileEntry]) -> String {
    let list: String = files.iter().map(|file| format!("{} {} {}\n", file.path, file.size, file.sha256)).collect();
    format!("holdfast-{version}-{}", &digest::of_bytes(list.as_bytes())[..NAME_DIGITS])
}

/// Only plain names, and the first is `usr`.
fn is_below_usr(path: &str) -> bool {
    let path = Path::new(path);
    let plain = |part: Component| matches!(part, Component::Normal(_));
    let written_plainly = path.components().collect::<std::path::PathBuf>().as_os_str() == path.as_os_str();
    written_plainly && path.components().all(plain) && path.starts_with("usr") && path.components().count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Manifest {
        let file = |name: &str| FileEntry { path: format!("usr/bin/{name}"), size: 1, sha256: digest::of_bytes(b"x") };
        Manifest::new(CONTAINED.iter().map(|name| file(name)).collect())
    }

    fn judged(change: impl Fn(&mut Manifest)) -> String {
        let mut manifest = whole();
        let name = manifest.name.clone();
        change(&mut manifest);
        Manifest::parse(&serde_json::to_string(&manifest).unwrap(), &name).unwrap_err()
    }

    #[test]
    fn a_whole_one_passes_and_a_changed_one_does_not() {
        let manifest = whole();
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&text, &manifest.name).unwrap(), manifest);
        assert!(Manifest::parse(&text, "holdfast-0.1.0-other").unwrap_err().contains("does not fit"));
        assert!(judged(|m| m.files[0].sha256 = digest::of_bytes(b"y")).contains("does not fit"));
        assert!(judged(|m| m.format = 2).contains("format 2"));
        assert!(judged(|m| m.architecture = "s390x".into()).contains("made for s390x"));
        assert!(judged(|m| drop(m.files.remove(0))).contains("incomplete: usr/bin/holdfast"));
        assert!(judged(|m| m.files.push(m.files[0].clone())).contains("twice"));
        for wrong in ["", "{}", "null", "[1]", "{\"format\":1}"] {
            assert!(Manifest::parse(wrong, "x").unwrap_err().starts_with("manifest.json"), "{wrong}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_image() {
        let outside = [
            "/etc/passwd",
            "usr/../../etc/passwd",
            "../usr/bin/mgd",
            "usr",
            "usr/",
            "",
            ".",
            "bin/mgd",
            "usr//bin",
            "usr/./bin/x",
            "./usr/bin/x",
            "usr/bin/mgd/",
        ];
        for path in outside {
            let reason = judged(|manifest| manifest.files[0].path = path.into());
            assert!(reason.contains("no path below usr/"), "{path:?}: {reason}");
        }
    }
}
