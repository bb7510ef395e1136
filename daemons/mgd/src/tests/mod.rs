//! mgd as its clients see it: real sockets, with small chassisd, rpd and pfed beside it in the same process.

mod commands;
mod completion;
mod configure;
mod daemon;
mod fakes;
mod router;
mod unconfirmed;
