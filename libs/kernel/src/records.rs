//! Records of fixed size in a file that is mapped into memory, so that they outlive their writer at any instruction.
//!
//! Each record lies in its place twice. A writer writes the older copy and stamps it last, with a number above that of the other one and a
//! check sum; so a reader finds the newest that is whole. Writing is a copy into memory: no system call, no allocation. What the machine's
//! own end leaves is of no interest: the file belongs into a run-dir.
//!
//! One process writes at a time. That is for its users to arrange; a second one would not break memory, but records.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

const WORD: usize = 8;
/// Number and check sum before each copy.
const STAMP_WORDS: usize = 2;
/// One more for the beginning of the file, which says what it is.
const HEADER_WORDS: usize = 8;
/// "HFRECRD" and the version of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"HFRECRD\x01");

/// The file, mapped.
#[derive(Debug)]
pub struct RecordFile {
    words: NonNull<AtomicU64>,
    bytes: usize,
    places: usize,
    record_words: usize,
}

// SAFETY: the mapping belongs to this value alone, which may be used by any one thread; all access is through atomics.
unsafe impl Send for RecordFile {}

impl RecordFile {
    /// Opens the file, or makes it: for so many records of so many octets (a multiple of 8). One of another form is an error
    /// (`InvalidData`): it is another program's, or another version's.
    pub fn open(path: &Path, places: usize, record_len: usize) -> io::Result<RecordFile> {
        if !record_len.is_multiple_of(WORD) || record_len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the length of a record is not a multiple of 8"));
        }
        let record_words = record_len / WORD;
        let bytes = (HEADER_WORDS + places * 2 * (STAMP_WORDS + record_words)) * WORD;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        let found = file.metadata()?.len();
        if found != 0 && found != bytes as u64 {
            let text = format!("{} has {found} bytes where {bytes} are expected", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        file.set_len(bytes as u64)?;
        let records = RecordFile { words: map(&file, bytes)?, bytes, places, record_words };
        let form = [MAGIC, places as u64, record_len as u64];
        if found == 0 {
            form.iter().enumerate().for_each(|(at, value)| records.word(at).store(*value, Ordering::Release));
        } else if form.iter().enumerate().any(|(at, value)| records.word(at).load(Ordering::Acquire) != *value) {
            let text = format!("{} does not hold such records", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(records)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.bytes / WORD);
        // SAFETY: `at` lies inside the mapping, which is aligned to pages and lives as long as this value. Every access to it is atomic.
        unsafe { self.words.add(at).as_ref() }
    }

    /// Where a copy begins.
    fn copy_at(&self, place: usize, copy: usize) -> usize {
        HEADER_WORDS + (2 * place + copy) * (STAMP_WORDS + self.record_words)
    }

    /// How many records there can be.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The record of this place is this from now on. Of one that is too long the rest is not written.
    pub fn write(&mut self, place: usize, record: &[u8]) {
        if place >= self.places {
            return;
        }
        let numbers = [0, 1].map(|copy| self.word(self.copy_at(place, copy)).load(Ordering::Acquire));
        let copy = usize::from(numbers[1] < numbers[0]);
        let at = self.copy_at(place, copy);
        // Not valid until it is stamped again.
        self.word(at).store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut sum = Sum::new();
        for index in 0..self.record_words {
            let mut octets = [0; WORD];
            let rest = record.get(index * WORD..).unwrap_or_default();
            let length = rest.len().min(WORD);
            octets[..length].copy_from_slice(&rest[..length]);
            let value = u64::from_le_bytes(octets);
            sum.add(value);
            self.word(at + STAMP_WORDS + index).store(value, Ordering::Relaxed);
        }
        let number = numbers[0].max(numbers[1]) + 1;
        sum.add(number);
        self.word(at + 1).store(sum.0, Ordering::Relaxed);
        self.word(at).store(number, Ordering::Release);
    }

    /// Reads the newest whole record of a place into the buffer; false: there was never one.
    pub fn read(&self, place: usize, record: &mut [u8]) -> bool {
        if place >= self.places {
            return false;
        }
        let mut newest = 0;
        for copy in [0, 1] {
            let at = self.copy_at(place, copy);
            let number = self.word(at).load(Ordering::Acquire);
            if number > newest && self.is_whole(at, number) {
                newest = number;
                for (index, octets) in record.chunks_mut(WORD).enumerate().take(self.record_words) {
                    let value = self.word(at + STAMP_WORDS + index).load(Ordering::Relaxed).to_le_bytes();
                    octets.copy_from_slice(&value[..octets.len()]);
                }
            }
        }
        newest > 0
    }

    fn is_whole(&self, at: usize, number: u64) -> bool {
        let mut sum = Sum::new();
        (0..self.record_words).for_each(|index| sum.add(self.word(at + STAMP_WORDS + index).load(Ordering::Relaxed)));
        sum.add(number);
        self.word(at + 1).load(Ordering::Relaxed) == sum.0
    }
}

impl Drop for RecordFile {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nothing refers to it any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.bytes) };
    }
}

fn map(file: &File, bytes: usize) -> io::Result<NonNull<AtomicU64>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place that the kernel chooses; the file is open and as long as the mapping.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED | libc::MAP_POPULATE, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped to address zero"))
}

/// Tells a record that was half written from a whole one.
struct Sum(u64);

impl Sum {
    fn new() -> Sum {
        Sum(0x51_7c_c1_b7_27_22_0a_95)
    }

    fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> RecordFile {
        RecordFile::open(path, 3, 32).unwrap()
    }

    fn read(records: &RecordFile, place: usize) -> Option<[u8; 32]> {
        let mut record = [0; 32];
        records.read(place, &mut record).then_some(record)
    }

    #[test]
    fn the_newest_record_of_each_place_outlives_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut records = open(&path);
        assert_eq!(read(&records, 0), None);
        for octet in 1..=9 {
            records.write(1, &[octet; 32]);
            assert_eq!(read(&records, 1), Some([octet; 32]));
        }
        records.write(2, &[7; 20]);
        records.write(3, &[7; 32]); // there is no such place
        drop(records);
        let records = open(&path);
        assert_eq!((read(&records, 0), read(&records, 1), read(&records, 3)), (None, Some([9; 32]), None));
        assert_eq!(read(&records, 2).unwrap()[18..22], [7, 7, 0, 0]);
    }

    #[test]
    fn a_writer_that_dies_in_the_middle_leaves_the_record_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut records = open(&path);
        records.write(0, &[1; 32]);
        records.write(0, &[2; 32]);
        // As it looks when the third was begun: in the place of the first, not stamped.
        let at = records.copy_at(0, 0);
        let number = records.word(at).load(Ordering::Relaxed);
        records.word(at).store(0, Ordering::Relaxed);
        records.word(at + STAMP_WORDS).store(3, Ordering::Relaxed);
        assert_eq!(read(&records, 0), Some([2; 32]));
        // And stamped, but with words that were not written.
        records.word(at).store(number + 2, Ordering::Relaxed);
        assert_eq!(read(&records, 0), Some([2; 32]));
        records.write(0, &[4; 32]);
        assert_eq!(read(&records, 0), Some([4; 32]));
    }

    #[test]
    fn files_of_another_form_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        drop(open(&path));
        assert!(RecordFile::open(&path, 4, 32).is_err());
        std::fs::write(&path, vec![7; std::fs::metadata(&path).unwrap().len() as usize]).unwrap();
        assert_eq!(RecordFile::open(&path, 3, 32).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(RecordFile::open(&path, 3, 31).is_err());
    }
}
