//! mgd as its clients see it: real sockets, with small chassisd, rpd and pfed beside it in the same process.

mod commands;
mod completion;
mod daemon;
mod fakes;
mod router;
