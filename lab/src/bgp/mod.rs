//! The lab's own BGP speaker, which gives neighbours their tables and listens to what reaches them.
//!
//! It has a codec of its own, small and independent of the router's: a judge that shared the router's codec would
//! share its mistakes.

pub mod beacon;
pub mod churn;
pub mod feeder;
pub mod message;
pub mod table;
pub mod told;
