//! The software that a routing engine is started from: where it lies, and whether it is still what it was.
//!
//! **In containers** it is an image: `STATE/images/NAME`, with a manifest that names every file with its SHA-256 digest, and
//! the files below `usr/`, which become a container's `/usr`. It is made from the running installation (the programs and the shared libraries
//! that they need) when there is none of it yet. Its name ends with a digest over the whole list, so a list that was changed
//! does not fit its name.
//!
//! **As plain processes** it is the folder of programs; their digests are noted at the start.
//!
//! Either way a run begins by reading every file again ([`Source::checks`]): the second routing engine is started from the same bytes
//! as the first, or not at all. Nothing that a manifest says is believed: paths are resolved by the kernel below the image's own
//! directory and through no symbolic link, what is not listed may not be there, and what was made for another kind of machine is refused.

mod digest;
mod elf;
mod installation;
mod make;
mod manifest;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_proto::v1;

use crate::error::ChassisError;

pub use installation::Installation;
use manifest::Manifest;

/// Programs that a container needs.
pub const CONTAINED: [&str; 4] = ["holdfast", "mgd", "rpd", "pfed"];
/// Programs of plain routing engines.
pub const PLAIN: [&str; 3] = ["mgd", "rpd", "pfed"];

/// An image whose files were all compared with their digests once.
#[derive(Clone, Debug)]
pub struct Image {
    directory: PathBuf,
    name: String,
}

impl Image {
    /// The image of the programs in `bin_dir`: the one that is there, verified, or a new one.
    pub fn of_installation(bin_dir: &Path, state_dir: &Path) -> Result<Self, ChassisError> {
        make::must_be_executable(state_dir)?;
        let sources = make::sources(bin_dir)?;
        let manifest = make::manifest(&sources)?;
        let images = state_dir.join("images");
        let directory = images.join(&manifest.name);
        if !directory.exists() {
            make::make(&images, &manifest, &sources)?;
        }
        let image = Image { directory, name: manifest.name };
        image.verify()?;
        make::remove_others(&images, &image.name);
        Ok(image)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes a container's `/usr`.
    pub fn files(&self) -> PathBuf {
        self.directory.join("usr")
    }

    /// Compares every file with its digest.
    pub fn verify(&self) -> Result<Manifest, ChassisError> {
        verify::verify(&self.directory)
            .map_err(|reason| ChassisError::Image { directory: self.directory.clone(), reason })
    }
}

/// Where routing engines are started from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An image.
    Image(Image),
    /// The programs beside chassisd.
    Installation(Arc<Installation>),
}

impl Source {
    /// The folder of its programs.
    pub fn programs(&self) -> PathBuf {
        match self {
            Source::Image(image) => image.files().join("bin"),
            Source::Installation(installation) => installation.folder().to_path_buf(),
        }
    }

    /// The pre-checks of a run that concern the software. Reads every file: some tenths of a second, not for the chassis's loop.
    pub fn checks(&self) -> Vec<v1::Check> {
        let (observed, required, remedy) = match self {
            Source::Image(image) => (
                image.verify().map(|manifest| format!("{}, {} files", image.name, manifest.files.len())),
                "every file of the image has the digest that its manifest names",
                "stop the router, remove the image's directory, start: the image is made anew",
            ),
            Source::Installation(installation) => (
                installation.verify(),
                "the programs on disk are those that this router was started from",
                "put the programs back, or stop and start the router to run the new ones",
            ),
        };
        let passed = observed.is_ok();
        vec![v1::Check {
            id: "image-valid".into(),
            title: "Image digests".into(),
            value: if passed { "Valid" } else { "Invalid" }.into(),
            passed,
            observed: observed.unwrap_or_else(|error| error.to_string()),
            required: required.into(),
            remedy: if passed { String::new() } else { remedy.into() },
            remedy_disturbs_traffic: !passed,
            ..Default::default()
        }]
    }
}
