//! # The control packet
//!
//! RFC 5880 §4.1 and §4.4: 24 octets, and 28 more where SHA1 authenticates them. [`ControlPacket::decode`] checks what can be
//! checked without knowing the session; the digest is compared by [`Sha1Section::verify`] over the octets as they came.
//!
//! ```text
//!  0                   1                   2                   3
//! |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//! |                       My Discriminator                        |
//! |                      Your Discriminator                       |
//! |                    Desired Min TX Interval                    |
//! |                   Required Min RX Interval                    |
//! |                 Required Min Echo RX Interval                 |
//! |   Auth Type   |   Auth Len    |  Auth Key ID  |   Reserved    |
//! |                        Sequence Number                        |
//! |                    digest, five times this                    |
//! ```

mod authentication;
mod packet;
mod values;

#[cfg(test)]
mod tests;

pub use authentication::{AuthSection, Authentication, Key, Sha1Section};
pub use packet::{ControlPacket, Datagram, PACKET_LEN_MAX};
pub use values::{Diagnostic, State};
