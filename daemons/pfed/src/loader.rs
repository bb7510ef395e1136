//! The thread that reads the kernel's routes, once per warm boot or loss of notifications.

use holdfast_kernel::KernelError;
use holdfast_kernel::netlink::{Requester, RouteTarget};
use ipnet::IpNet;
use tokio::sync::mpsc;

use crate::error::PfedError;
use crate::limits::{LOAD_CHUNK_ROUTES, LOAD_QUEUE};

/// A piece of the kernel's table.
#[derive(Debug)]
pub enum Loaded {
    /// Some of our routes.
    Routes(Vec<(IpNet, RouteTarget)>),
    /// That was all; or it went wrong.
    End(Result<(), KernelError>),
}

/// Starts reading. A change that interrupts the dump does not matter: the agent's monitor has been open since before, and
/// what changed is applied afterwards.
pub fn spawn() -> Result<mpsc::Receiver<Loaded>, PfedError> {
    let (send, receive) = mpsc::channel(LOAD_QUEUE);
    let work = move || {
        let end = load(&send);
        let _ = send.blocking_send(Loaded::End(end));
    };
    std::thread::Builder::new()
        .name("pfed-loader".into())
        .spawn(work)
        .map_err(|source| PfedError::Start { what: "start the thread that reads the kernel's table", source })?;
    Ok(receive)
}

fn load(send: &mpsc::Sender<Loaded>) -> Result<(), KernelError> {
    let mut requester = Requester::open()?;
    for ipv6 in [false, true] {
        let mut chunk = Vec::with_capacity(LOAD_CHUNK_ROUTES);
        requester.dump_routes(ipv6, &mut |route| {
            chunk.push((route.prefix, route.target));
            if chunk.len() == LOAD_CHUNK_ROUTES {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(LOAD_CHUNK_ROUTES));
                let _ = send.blocking_send(Loaded::Routes(full));
            }
        })?;
        if !chunk.is_empty() {
            let _ = send.blocking_send(Loaded::Routes(chunk));
        }
    }
    Ok(())
}
