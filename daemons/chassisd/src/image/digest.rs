//! SHA-256 of files, several at a time.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};

/// Read at a time.
const CHUNK_LEN: usize = 256 * 1024;
/// More threads than that wait for memory, not for arithmetic.
const THREADS_MAX: usize = 4;

/// The digest of an open file in hexadecimal digits, and its length.
pub fn of_file(mut file: File) -> io::Result<(String, u64)> {
    let (mut hash, mut length, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_LEN]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((hexadecimal(&hash.finalize()), length)),
            n => {
                hash.update(&chunk[..n]);
                length += n as u64;
            }
        }
    }
}

/// The digest of some bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Does `work` for each item on several threads; the results keep their order.
pub fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(items.len().max(1));
    let next = AtomicUsize::new(0);
    let take_turns = || {
        let mut done = Vec::new();
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < items.len()) {
            done.push((at, work(&items[at])));
        }
        done
    };
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take_turns)).collect();
        let mut all = take_turns();
        others.into_iter().for_each(|other| all.extend(other.join().unwrap_or_default()));
        all
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_s_own_example() {
        // FIPS 180-4's example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), abc);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(of_file(File::open(path).unwrap()).unwrap(), (abc.into(), 3));
    }

    #[test]
    fn every_item_is_done_once_and_in_order() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(side_by_side(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(side_by_side(&[0; 0], |item| *item).is_empty());
    }
}
