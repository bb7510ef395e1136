//! What a link's driver says of it.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

const ETHTOOL_GSET: u32 = 1;
/// `SPEED_UNKNOWN`.
const SPEED_UNKNOWN: u32 = u32::MAX;

/// `struct ethtool_cmd`, as far as its fields matter here.
#[repr(C)]
struct Command {
    command: u32,
    supported: u32,
    advertising: u32,
    speed_low: u16,
    duplex: u8,
    port: u8,
    address_and_more: [u8; 4],
    max_packets: [u32; 2],
    speed_high: u16,
    crossover: [u8; 2],
    partner: u32,
    reserved: [u32; 2],
}

/// The speed of a link in the calling thread's network namespace, in Mbit/s; `None` where its driver does not say.
pub fn speed_mbps(name: &str) -> Option<u32> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return None;
    }
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    // SAFETY: both are plain data for which all zeroes is a valid value.
    let (mut command, mut request): (Command, libc::ifreq) =
        unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
    command.command = ETHTOOL_GSET;
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut command).cast();
    // SAFETY: the name ends with a zero, the data is as long as this command's structure, and both outlive the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) };
    let speed = u32::from(command.speed_high) << 16 | u32::from(command.speed_low);
    (answer == 0 && speed != 0 && speed != SPEED_UNKNOWN).then_some(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_driver_has_no_speed() {
        assert_eq!(std::mem::size_of::<Command>(), 44);
        assert_eq!(speed_mbps("lo"), None);
        assert_eq!(speed_mbps("no-such-link"), None);
        assert_eq!(speed_mbps("a-name-that-is-too-long"), None);
    }
}
