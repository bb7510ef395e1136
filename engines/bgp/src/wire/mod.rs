//! # The BGP-4 codec
//!
//! A message is found by [`frame`], then its body is read by the type that the header names. The reading side borrows: an
//! UPDATE becomes an [`Update`] whose prefixes are iterated straight from the message, and whose path attributes become one
//! [`AttributeBlock`], the canonical form under which equal attributes have equal bytes. A block is interned as bytes
//! and decoded to [`PathAttributes`] once per distinct block, not once per UPDATE. The writing side appends whole messages to a
//! buffer of the caller's.
//!
//! Judgement on malformed input is made here and nowhere else. Its three outcomes are types: a [`NotificationMessage`] in the
//! error position means "reset the session with this"; [`Update::treat_as_withdraw`] and [`Update::discarded`] are the
//! milder ones of RFC 7606. Loops (our own AS in the path) and policy are not the codec's matter.

mod as_path;
mod attribute_block;
mod attributes;
mod capability;
mod encode;
mod header;
mod limits;
mod negotiated;
mod next_hop;
mod nlri;
mod notification;
mod open;
mod role;
mod route_refresh;
mod scan;
mod update;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use as_path::{AsPath, Segment, SegmentKind};
pub use attribute_block::{
    AttributeBlock, MalformedBlock, NON_TRANSITIVE, as_path_count, as_path_first, has_community, link_bandwidth,
    only_to_customer, was_reflected_by,
};
pub use attributes::{Origin, PartialBits, PathAttributes, RawAttribute, code};
pub(crate) use capability::{ADD_PATH_RECEIVE, ADD_PATH_SEND};
pub use capability::{Capability, ExtendedNextHopEntry, LongLived};
pub use encode::{AttributesTooLarge, Format, encode_announce, encode_end_of_rib, encode_keepalive, encode_withdraw};

pub use header::{MessageType, frame};
pub use holdfast_rib::Family;
pub(crate) use limits::ATTRIBUTES_MAX_LEN;
pub use limits::{AS_TRANS, EXTENDED_MESSAGE_LEN, HEADER_LEN, MAX_MESSAGE_LEN};
pub use negotiated::{Negotiated, PeerGracefulRestart};
pub use next_hop::NextHop;
pub use nlri::{Nlri, NlriIter};
pub use notification::{Cease, NotificationMessage};
pub use open::OpenMessage;
pub use role::Role;
pub use route_refresh::{RefreshMark, RouteRefresh, decode_route_refresh, encode_refresh_mark, encode_route_refresh};
pub use update::Update;
