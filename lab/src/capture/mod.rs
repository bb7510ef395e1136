//! The wire as it was: tcpdump on the neighbour's side of each link, read afterwards. What the capture shows is beyond
//! argument: a SYN, an OPEN, a byte too many or too few.

pub mod analysis;
pub mod pcap;
pub mod stream;
pub mod tcpdump;
