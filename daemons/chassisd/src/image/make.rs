//! An image from the running installation: the programs, and the shared libraries that their own loader names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::elf::Elf;
use super::manifest::{FileEntry, Manifest};
use super::{CONTAINED, digest};
use crate::error::ChassisError;

/// Where a file of the image comes from, by its path in the image.
pub type Sources = BTreeMap<String, PathBuf>;

/// Programs are run from the state-dir.
pub fn must_be_executable(state_dir: &Path) -> Result<(), ChassisError> {
    let flags = nix::sys::statvfs::statvfs(state_dir)
        .map_err(|error| ChassisError::File { path: state_dir.into(), source: error.into() })?
        .flags();
    if flags.contains(nix::sys::statvfs::FsFlags::ST_NOEXEC) {
        return Err(ChassisError::NotExecutable { state_dir: state_dir.into() });
    }
    Ok(())
}

/// All that the programs in `bin_dir` need.
pub fn sources(bin_dir: &Path) -> Result<Sources, ChassisError> {
    let mut sources = Sources::new();
    for name in CONTAINED {
        let path = bin_dir.join(name);
        if !path.is_file() {
            return Err(ChassisError::NoBinary { path });
        }
        for library in libraries(&path)? {
            let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            sources.insert(format!("usr/lib/{name}"), library);
        }
        sources.insert(format!("usr/bin/{name}"), path);
    }
    Ok(sources)
}

/// The shared libraries of a program, its loader among them, as the loader itself finds them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, ChassisError> {
    let told = |reason: String| ChassisError::Program { path: program.into(), reason };
    let elf = File::open(program).and_then(|file| Elf::read(&file)).map_err(|error| told(error.to_string()))?;
    let Some(loader) = elf.interpreter else { return Ok(Vec::new()) };
    let parent = Path::new(&loader).parent();
    if !["/lib", "/lib64"].iter().any(|folder| parent == Some(Path::new(folder))) {
        return Err(told(format!("is loaded by {loader}; a container has its loader in /lib or /lib64")));
    }
    let list = Command::new(&loader).arg("--list").arg(program).stdin(Stdio::null()).output();
    let list = list.map_err(|error| told(format!("its libraries: {loader}: {error}")))?;
    if !list.status.success() {
        return Err(told(format!("its libraries: {loader}: {}", String::from_utf8_lossy(&list.stderr).trim())));
    }
    let mut found = parse_list(&String::from_utf8_lossy(&list.stdout)).map_err(told)?;
    if !found.iter().any(|library| library == Path::new(&loader)) {
        found.push(loader.into());
    }
    Ok(found)
}

/// Lines like `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f...)`; what the kernel brings has no path.
fn parse_list(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place.starts_with("not found") {
            return Err(format!("needs {name}, which is not installed"));
        }
        let path = place.rsplit_once(" (").map_or(place, |(path, _)| path);
        if path.starts_with('/') {
            found.push(path.into());
        }
    }
    Ok(found)
}

/// The manifest that an image of these files has.
pub fn manifest(sources: &Sources) -> Result<Manifest, ChassisError> {
    let list: Vec<(&String, &PathBuf)> = sources.iter().collect();
    let entries = digest::side_by_side(&list, |(path, source)| {
        let (sha256, size) = File::open(source).and_then(digest::of_file).map_err(ChassisError::file(*source))?;
        Ok(FileEntry { path: (*path).clone(), size, sha256 })
    });
    Ok(Manifest::new(entries.into_iter().collect::<Result<_, ChassisError>>()?))
}

/// Copies the files into a new image. What is half done has another name, and goes when it fails.
pub fn make(images: &Path, manifest: &Manifest, sources: &Sources) -> Result<(), ChassisError> {
    let half_done = images.join(format!(".{}.new", manifest.name));
    let _ = fs::remove_dir_all(&half_done);
    let result = copy(&half_done, manifest, sources)
        .and_then(|()| fs::rename(&half_done, images.join(&manifest.name)))
        .map_err(ChassisError::file(&half_done));
    if result.is_err() {
        let _ = fs::remove_dir_all(&half_done);
    }
    result
}

fn copy(directory: &Path, manifest: &Manifest, sources: &Sources) -> io::Result<()> {
    for folder in ["usr/bin", "usr/lib"] {
        fs::create_dir_all(directory.join(folder))?;
    }
    for (path, source) in sources {
        let target = directory.join(path);
        fs::copy(source, &target)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o555))?;
    }
    fs::write(directory.join("manifest.json"), serde_json::to_vec_pretty(manifest)?)
}

/// Removes images of earlier installations: only the running one is started from.
pub fn remove_others(images: &Path, name: &str) {
    for entry in fs::read_dir(images).into_iter().flatten().flatten() {
        if entry.file_name() != name {
            tracing::info!("image {} is of an earlier installation and is removed", entry.file_name().display());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::Image;
    use super::*;

    #[test]
    fn the_loader_s_list_is_understood() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7)\n";
        let found = parse_list(text).unwrap();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
        assert_eq!(parse_list("\tlibx.so.1 => not found\n").unwrap_err(), "needs libx.so.1, which is not installed");
        assert!(parse_list("\tstatically linked\n").unwrap().is_empty());
    }

    /// An installation of small real programs, and a state-dir.
    fn installation() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (bin, state) = (directory.path().join("bin"), directory.path().join("state"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&state).unwrap();
        for name in CONTAINED {
            fs::copy("/bin/true", bin.join(name)).unwrap();
        }
        (directory, bin, state)
    }

    #[test]
    fn an_image_is_made_once_and_again_when_the_installation_changes() {
        let (_directory, bin, state) = installation();
        let image = Image::of_installation(&bin, &state).unwrap();
        let made = fs::metadata(image.files().join("bin/mgd")).unwrap().modified().unwrap();
        let again = Image::of_installation(&bin, &state).unwrap();
        assert_eq!((again.name(), again.files()), (image.name(), image.files()));
        assert_eq!(fs::metadata(image.files().join("bin/mgd")).unwrap().modified().unwrap(), made);
        fs::copy("/bin/false", bin.join("rpd")).unwrap();
        let other = Image::of_installation(&bin, &state).unwrap();
        assert_ne!(other.name(), image.name());
        assert!(!image.files().exists(), "images of earlier installations go");
        fs::remove_file(bin.join("pfed")).unwrap();
        assert!(Image::of_installation(&bin, &state).unwrap_err().to_string().contains("bin/pfed does not exist"));
        fs::write(bin.join("pfed"), "#!/bin/sh\n").unwrap();
        assert!(Image::of_installation(&bin, &state).unwrap_err().to_string().contains("bin/pfed is no program"));
    }

    #[test]
    fn every_change_to_an_image_is_found_and_named() {
        let (directory, bin, state) = installation();
        let image = Image::of_installation(&bin, &state).unwrap();
        let file = |name: &str| image.files().join(name);
        let secret = directory.path().join("secret");
        fs::write(&secret, "x").unwrap();
        let wrong = |what: &str, expected: &str| {
            let error = image.verify().expect_err(what).to_string();
            assert!(error.contains(expected), "{what}: {error}");
            assert!(error.contains("remove") && error.contains("start"), "no remedy: {error}");
        };
        let mut bytes = fs::read(file("bin/rpd")).unwrap();
        let whole = bytes.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let replace = |bytes: &[u8]| {
            fs::remove_file(file("bin/rpd")).unwrap();
            fs::write(file("bin/rpd"), bytes).unwrap();
            fs::set_permissions(file("bin/rpd"), fs::Permissions::from_mode(0o555)).unwrap();
        };
        replace(&bytes);
        wrong("one bit", "usr/bin/rpd was changed");
        replace(&whole[..middle]);
        wrong("cut off", "usr/bin/rpd has ");
        fs::remove_file(file("bin/rpd")).unwrap();
        wrong("missing", "usr/bin/rpd is missing");
        symlink(&secret, file("bin/rpd")).unwrap();
        wrong("a link to the outside", "usr/bin/rpd is no plain file");
        fs::remove_file(file("bin/rpd")).unwrap();
        fs::create_dir(file("bin/rpd")).unwrap();
        wrong("a directory", "usr/bin/rpd is no plain file");
        fs::remove_dir(file("bin/rpd")).unwrap();
        replace_missing(&file("bin/rpd"), &whole);
        image.verify().unwrap();
        fs::write(file("lib/libevil.so"), "x").unwrap();
        wrong("something more", "usr/lib/libevil.so is in it, but not in its manifest");
        fs::remove_file(file("lib/libevil.so")).unwrap();
        fs::set_permissions(file("bin/rpd"), fs::Permissions::from_mode(0o444)).unwrap();
        wrong("not executable", "not executable");
        fs::set_permissions(file("bin/rpd"), fs::Permissions::from_mode(0o777)).unwrap();
        wrong("writable", "may be written by others");
        fs::set_permissions(file("bin/rpd"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::rename(file("bin"), directory.path().join("bin-outside")).unwrap();
        symlink(directory.path().join("bin-outside"), file("bin")).unwrap();
        wrong("a folder that is a link", "no plain file");
        fs::remove_file(file("bin")).unwrap();
        fs::rename(directory.path().join("bin-outside"), file("bin")).unwrap();
        fs::remove_file(file("../manifest.json")).unwrap();
        wrong("no manifest", "manifest.json");
    }

    fn replace_missing(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }

    #[test]
    fn a_program_for_another_machine_is_refused() {
        let (_directory, bin, state) = installation();
        let mut foreign = fs::read("/bin/true").unwrap();
        foreign[18..20].copy_from_slice(&22_u16.to_le_bytes()); // EM_S390
        fs::write(bin.join("rpd"), &foreign).unwrap();
        let error = match Image::of_installation(&bin, &state) {
            Ok(image) => panic!("{image:?}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("rpd"), "{error}");
    }
}
