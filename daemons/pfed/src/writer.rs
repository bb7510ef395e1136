//! The thread that writes to the kernel: batches in, outcomes out, strictly in order.
//!
//! The kernel works within the system call, for a millisecond or two per batch; that must not hold up the loop that
//! answers chassisd. Both channels are bounded, so a slow kernel slows rpd and nothing grows.

use holdfast_kernel::netlink::{BatchOutcome, Requester};
use tokio::sync::mpsc;

use crate::error::PfedError;
use crate::fib::{Memo, Planned};
use crate::limits::WRITER_QUEUE;

/// A batch with its place in the order.
#[derive(Debug)]
pub struct Job {
    /// From 1, without gaps.
    pub serial: u64,
    /// What to write.
    pub planned: Planned,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    /// The job's.
    pub serial: u64,
    /// The job's.
    pub memos: Vec<Memo>,
    /// The kernel's answers.
    pub outcome: BatchOutcome,
}

/// The thread's ends in the agent.
#[derive(Debug)]
pub struct Writer {
    /// Batches to write.
    pub jobs: mpsc::Sender<Job>,
    /// Batches written.
    pub done: mpsc::Receiver<Done>,
    /// The port that notifications of its writes carry.
    pub port: u32,
}

/// Starts the thread. It ends when the agent drops its end.
pub fn spawn() -> Result<Writer, PfedError> {
    let mut requester = Requester::open()?;
    let port = requester.port();
    let (jobs, mut jobs_out) = mpsc::channel::<Job>(WRITER_QUEUE);
    let (done_in, done) = mpsc::channel(WRITER_QUEUE);
    let work = move || {
        while let Some(Job { serial, planned: Planned { mut batch, memos } }) = jobs_out.blocking_recv() {
            let outcome = requester.execute(&mut batch);
            if done_in.blocking_send(Done { serial, memos, outcome }).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("pfed-writer".into())
        .spawn(work)
        .map_err(|source| PfedError::Start { what: "start the thread that writes to the kernel", source })?;
    Ok(Writer { jobs, done, port })
}
