//! The thread that makes the second table of a comparison: what the RIB says, and a fresh dump of the kernel.

use std::time::Instant;

use hashbrown::HashSet;
use holdfast_kernel::KernelError;
use holdfast_kernel::netlink::Requester;
use holdfast_proto::v1;
use tokio::sync::{mpsc, oneshot};

use crate::error::PfedError;
use crate::fib::Comparison;
use crate::limits::COMPARISON_DUMPS_MAX;

/// Starts it. It takes batches until their sender is gone, then reads the kernel, and answers.
pub fn spawn(
    batches: mpsc::Receiver<v1::FibBatch>,
) -> Result<oneshot::Receiver<Result<Comparison, KernelError>>, PfedError> {
    let (answer, receive) = oneshot::channel();
    let work = move || {
        let comparison = read(batches);
        let _ = answer.send(comparison);
    };
    std::thread::Builder::new()
        .name("pfed-comparer".into())
        .spawn(work)
        .map_err(|source| PfedError::Start { what: "start the thread that compares the tables", source })?;
    Ok(receive)
}

fn read(mut batches: mpsc::Receiver<v1::FibBatch>) -> Result<Comparison, KernelError> {
    let mut comparison = Comparison::default();
    while let Some(batch) = batches.blocking_recv() {
        comparison.rib_says(&batch);
    }
    let began = Instant::now();
    let mut requester = Requester::open()?;
    let up: HashSet<u32> = requester.links()?.iter().filter(|link| link.is_up()).map(|link| link.index).collect();
    comparison.kernel_objects(&requester.nexthops()?, &up);
    for ipv6 in [false, true] {
        // A change in the middle may hide a route from a dump. It goes on until one has been left in peace, but not for ever: what
        // only one look has seen does not count.
        for _ in 0..COMPARISON_DUMPS_MAX {
            if !requester.dump_routes_of_all(ipv6, &mut |route| comparison.kernel_route(&route))? {
                break;
            }
        }
    }
    comparison.kernel_read();
    tracing::debug!("the kernel's table was read in {} ms to be compared", began.elapsed().as_millis());
    Ok(comparison)
}
