//! # What fuzzing checks
//!
//! One function per parser of what comes from a neighbour, an operator or another routing engine, and for the state machines that
//! they feed. Each takes any bytes and asserts more than "no panic": that what was accepted is consistent, survives being written
//! and read again, and was judged as the RFCs say. The targets in `fuzz_targets/` and the tests below call the same functions.
//!
//! - [`wire`]: messages. [`attributes`]: each path attribute by itself, through the real judgement of RFC 7606.
//! - [`session`]: the state machine of one neighbour, fed with any events, messages and times.
//! - [`engine`]: a speaker with two sessions up, one of which says anything; and a follower that is told anything.
//! - [`bfd`]: control packets; sessions that are told anything, at any time, by anybody.
//! - [`configuration`]: an operator's text, and the lines of configure mode.
//! - [`policy`]: expressions in it; and whole policies, beside a model that knows no compilation.
//! - [`machine`]: what comes from the kernel, from our own processes and from a scenario's file.
//!
//! The parsers of mgd's commands and of the frames inside pfed are in binaries, which no target can reach: they have property tests
//! beside them.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --example seeds` writes the seeds, which are kept in `fuzz/seeds`. Then
//! `cargo +nightly fuzz run --sanitizer none update fuzz/corpus/update fuzz/seeds/update`: what is found new goes to the first folder.

pub mod attributes;
pub mod bfd;
pub mod configuration;
pub mod engine;
pub mod machine;
pub mod policy;
mod seeds;
pub mod session;
mod target;
pub mod wire;

pub use seeds::{Seed, seeds};
pub use target::Target;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every seed passes, and so does every seed with each single bit flipped.
    #[test]
    fn seeds_and_their_neighbours_pass() {
        for Seed { target, bytes, .. } in seeds() {
            let check = target.check();
            check(&bytes);
            if matches!(target, Target::Configuration | Target::Editing | Target::Policy) {
                continue; // a text is long, and reading it takes its time
            }
            let mut changed = bytes.clone();
            for bit in 0..bytes.len() * 8 {
                changed[bit / 8] ^= 1 << (bit % 8);
                check(&changed);
                changed[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    /// Every target has seeds that are kept, and all that are kept pass: also those that an earlier version has written.
    #[test]
    fn the_seeds_that_are_kept_pass() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        for target in Target::ALL {
            let kept = std::fs::read_dir(folder.join(target.name())).expect("a folder of seeds");
            let files: Vec<_> = kept.map(|entry| entry.expect("a seed").path()).collect();
            assert!(!files.is_empty(), "{}", target.name());
            files.iter().for_each(|file| target.check()(&std::fs::read(file).expect("a seed")));
        }
        for seed in seeds() {
            let path = folder.join(seed.target.name()).join(&seed.name);
            assert!(path.exists(), "{} is not kept: write the seeds anew", path.display());
        }
    }
}
