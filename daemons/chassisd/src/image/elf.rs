//! The little that has to be known of a program file: the machine it is for, and the loader that it asks for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `\x7fELF`, 64 bits, least significant byte first: every machine that Holdfast runs on.
const IDENTIFICATION: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
/// Programs have some ten.
const PROGRAM_HEADERS_MAX: u16 = 128;
const PT_INTERP: u32 = 3;
/// PATH_MAX.
const INTERPRETER_LEN_MAX: u64 = 4096;

/// What a program file says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// The loader; a static program has none.
    pub interpreter: Option<String>,
}

impl Elf {
    /// Reads the headers of an open file.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0).map_err(|_| invalid("is no program (too short)"))?;
        if header[..6] != IDENTIFICATION {
            return Err(invalid("is no 64-bit program"));
        }
        let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let (table, entry_len, entries) = (long(&header, 32), half(54), half(56));
        if usize::from(entry_len) != PROGRAM_HEADER_LEN || entries > PROGRAM_HEADERS_MAX {
            return Err(invalid("has unknown program headers"));
        }
        let mut interpreter = None;
        for index in 0..u64::from(entries) {
            let mut entry = [0; PROGRAM_HEADER_LEN];
            let at = table.checked_add(index * PROGRAM_HEADER_LEN as u64).ok_or_else(|| invalid("is damaged"))?;
            file.read_exact_at(&mut entry, at).map_err(|_| invalid("is cut off"))?;
            if u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) == PT_INTERP {
                interpreter = Some(Self::string(file, long(&entry, 8), long(&entry, 32))?);
            }
        }
        Ok(Elf { machine: half(18), interpreter })
    }

    fn string(file: &File, at: u64, length: u64) -> io::Result<String> {
        if length == 0 || length > INTERPRETER_LEN_MAX {
            return Err(invalid("names a loader of an impossible length"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, at).map_err(|_| invalid("is cut off"))?;
        bytes.pop(); // the closing NUL
        String::from_utf8(bytes).map_err(|_| invalid("names a loader that is no text"))
    }
}

/// Eight bytes of a header, which is long enough by its type and the offsets used here.
fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_understood() {
        let own = File::open("/proc/self/exe").unwrap();
        let elf = Elf::read(&own).unwrap();
        if cfg!(target_arch = "x86_64") {
            assert_eq!(elf.machine, 62); // EM_X86_64
        }
        let interpreter = elf.interpreter.expect("tests are linked dynamically");
        assert!(std::path::Path::new(&interpreter).exists(), "{interpreter}");
    }

    #[test]
    fn nothing_that_is_no_program_passes_or_panics() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Elf::read(&File::open(&path).unwrap())
        };
        for length in [0, 5, 63, 64, 100, 500] {
            assert!(read(&own[..length]).is_err(), "{length}");
        }
        assert!(read(b"#!/bin/sh\nexit 0\n").is_err());
        for at in 0..HEADER_LEN {
            let mut changed = own[..4096].to_vec();
            changed[at] ^= 0xff;
            let _ = read(&changed);
        }
    }
}
