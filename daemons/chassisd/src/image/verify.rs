//! The comparison of an image with its manifest. Reads every byte.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use super::elf::Elf;
use super::manifest::{FileEntry, Manifest};
use super::{CONTAINED, digest};

/// A thousand files need a tenth of it.
const MANIFEST_LEN_MAX: u64 = 1 << 20;
/// usr, bin or lib, and some more.
const DEPTH_MAX: usize = 16;

/// Compares everything; the error says what differs.
pub fn verify(directory: &Path) -> Result<Manifest, String> {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let root = File::open(directory).map_err(|error| format!("its directory cannot be opened: {error}"))?;
    let mut text = String::new();
    let manifest = open_below(&root, Path::new("manifest.json")).map_err(|error| format!("manifest.json: {error}"))?;
    let length = manifest.take(MANIFEST_LEN_MAX).read_to_string(&mut text);
    if length.map_err(|error| format!("manifest.json: {error}"))? as u64 == MANIFEST_LEN_MAX {
        return Err("manifest.json is too long".into());
    }
    let manifest = Manifest::parse(&text, &name)?;
    let listed: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    nothing_else(directory, Path::new("usr"), &listed, DEPTH_MAX)?;
    let results = digest::side_by_side(&manifest.files, |file| compare(&root, file));
    results.into_iter().collect::<Result<(), String>>()?;
    for program in CONTAINED {
        for_this_machine(&root, &format!("usr/bin/{program}"))?;
    }
    Ok(manifest)
}

/// Opens a path that the kernel resolves below `root` and through no symbolic link at all.
fn open_below(root: &File, path: &Path) -> std::io::Result<File> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .mode(Mode::empty())
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let descriptor: OwnedFd = openat2(root, path, how)?;
    Ok(File::from(descriptor))
}

fn compare(root: &File, entry: &FileEntry) -> Result<(), String> {
    let path = &entry.path;
    let file = open_below(root, Path::new(path)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{path} is missing"),
        _ => format!("{path} cannot be opened as a plain file of the image: {error}"),
    })?;
    let metadata = file.metadata().map_err(|error| format!("{path}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{path} is no plain file"));
    }
    let mode = metadata.permissions().mode();
    if path.starts_with("usr/bin/") && mode & 0o111 == 0 {
        return Err(format!("{path} is not executable"));
    }
    if mode & 0o022 != 0 {
        return Err(format!("{path} may be written by others than its owner (mode {:o})", mode & 0o777));
    }
    if metadata.len() != entry.size {
        return Err(format!("{path} has {} bytes, its manifest says {}", metadata.len(), entry.size));
    }
    let (sha256, _) = digest::of_file(file).map_err(|error| format!("{path}: {error}"))?;
    if sha256 == entry.sha256 { Ok(()) } else { Err(format!("{path} was changed: its digest is not the manifest's")) }
}

fn for_this_machine(root: &File, path: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{path} {error}");
    let elf = Elf::read(&open_below(root, Path::new(path)).map_err(told)?).map_err(told)?;
    let own = File::open("/proc/self/exe").and_then(|own| Elf::read(&own)).map_err(told)?;
    if elf.machine == own.machine {
        return Ok(());
    }
    Err(format!(
        "{path} was made for another kind of machine (ELF machine {}, this one is {})",
        elf.machine, own.machine
    ))
}

/// What is not in the list must not be there: a container would see it.
fn nothing_else(directory: &Path, below: &Path, listed: &BTreeSet<&str>, depth: usize) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", below.display());
    for entry in fs::read_dir(directory.join(below)).map_err(told)? {
        let entry = entry.map_err(told)?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(told)?;
        if kind.is_dir() && depth > 0 {
            nothing_else(directory, &path, listed, depth - 1)?;
        } else if !kind.is_file() {
            return Err(format!("{} is no plain file", path.display()));
        } else if path.to_str().is_none_or(|path| !listed.contains(path)) {
            return Err(format!("{} is in it, but not in its manifest", path.display()));
        }
    }
    Ok(())
}
