//! The speaker as a whole, in virtual time: one router with its RIB (and, where a test wants one, a second engine that follows it),
//! among neighbours who speak raw BGP and write down what they hear. `world` and
//! `standby` play the daemon's part, `peer` the neighbours'.

mod aggregates;
mod allowed;
mod as_paths;
mod bandwidth;
mod bfd;
mod counting;
mod ends;
mod export;
mod extended;
mod extended_next_hop;
mod follower;
mod groups;
mod hostile;
mod import;
mod limits;
mod link_local;
mod long_lived;
mod next_hops;
mod notification_restart;
mod old_speakers;
mod own_addresses;
mod own_restart;
mod peer;
mod policies;
mod recovery;
mod reflection;
mod refresh;
mod restart;
mod roles;
mod route_server;
mod selection;
mod sessions;
mod several;
mod standby;
mod well_known;
mod whole_tables;
mod world;
