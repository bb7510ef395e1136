//! The size of a terminal.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Columns and rows (`TIOCGWINSZ`); a terminal that was never told its size says 0.
pub fn size(fd: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one winsize through the pointer.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok((size.ws_col, size.ws_row)) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_no_terminal_has_no_size() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(size(file.as_fd()).is_err());
    }
}
