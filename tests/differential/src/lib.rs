//! The codec against codecs of other makes: `rustbgpd-wire` and `netgauze-bgp-pkt`.
//!
//! **What it is for.** A codec's own tests share its author's reading of the RFCs. Two others were written by other people. Where two of
//! them accept a message, they have to understand the same: the same routes, with the same attributes.
//!
//! **The idea.** Each codec's result becomes one neutral `Meaning`. Messages are generated, then damaged. Nobody has to accept what is damaged
//! (how strict to be is a choice, and RFC 7606 is one), so only what both accept wholly, without leaving anything out, is compared.
//! Where they may differ by the RFCs, the comparison says so in its place, with the section.
//!
//! Everything is in `tests/`: this crate has no code of its own, so the others' codecs are dependencies of tests only.
