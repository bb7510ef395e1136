//! The thread that writes to the kernel: batches in, outcomes out, strictly in order.
//!
//! The kernel works within the system call, for a millisecond or two per batch; that must not hold up the loop that
//! answers chassisd. Both channels are bounded, so a slow kernel slows rpd and nothing grows.
//!
//! A second channel is for what cannot wait until the first one's batches are written: nexthop objects that are to do without a gateway that fails. The
//! thread looks there before each system call.
//!
//! Batches that wait are written together, as many as the kernel's side takes at once: fewer system calls, and fewer turns of the agent's loop.

use holdfast_kernel::netlink::{BATCHES_AT_ONCE_MAX, Batch, BatchOutcome, Requester};
use tokio::sync::mpsc;

use crate::error::PfedError;
use crate::fib::{Memo, Planned};
use crate::limits::{URGENT_QUEUE, WRITER_QUEUE};

/// A batch with its place in the order.
#[derive(Debug)]
pub struct Job {
    /// From 1, without gaps; none where it overtakes others.
    pub serial: Option<u64>,
    /// What to write.
    pub planned: Planned,
}

/// What became of it.
#[derive(Debug)]
pub struct Done {
    /// The job's.
    pub serial: Option<u64>,
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
    /// Batches to write before those.
    pub urgent: mpsc::Sender<Job>,
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
    let (urgent, mut urgent_out) = mpsc::channel::<Job>(URGENT_QUEUE);
    let (done_in, done) = mpsc::channel(WRITER_QUEUE + URGENT_QUEUE);
    let waits = tokio::runtime::Builder::new_current_thread().build();
    let waits =
        waits.map_err(|source| PfedError::Start { what: "let the thread that writes wait for work", source })?;
    let work = move || {
        while let Some(first) = waits.block_on(next(&mut urgent_out, &mut jobs_out)) {
            let mut jobs = waiting(first, &mut urgent_out, &mut jobs_out);
            let mut batches: Vec<&mut Batch> = jobs.iter_mut().map(|job| &mut job.planned.batch).collect();
            let outcomes = requester.execute_all(&mut batches);
            for (Job { serial, planned: Planned { memos, .. } }, outcome) in jobs.into_iter().zip(outcomes) {
                if done_in.blocking_send(Done { serial, memos, outcome }).is_err() {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("pfed-writer".into())
        .spawn(work)
        .map_err(|source| PfedError::Start { what: "start the thread that writes to the kernel", source })?;
    Ok(Writer { jobs, urgent, done, port })
}

/// What is urgent first; nothing once the agent has ended.
async fn next(urgent: &mut mpsc::Receiver<Job>, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    tokio::select! { biased;
        Some(job) = urgent.recv() => Some(job),
        job = jobs.recv() => job,
    }
}

/// What is written together: the first, and what waits beside it.
fn waiting(first: Job, urgent: &mut mpsc::Receiver<Job>, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut all = vec![first];
    while all.len() < BATCHES_AT_ONCE_MAX
        && let Ok(job) = urgent.try_recv().or_else(|_| jobs.try_recv())
    {
        all.push(job);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_urgent_is_written_before_what_has_waited_longer() {
        let job = |serial| Job { serial, planned: Planned::default() };
        let (jobs, mut jobs_out) = mpsc::channel(4);
        let (urgent, mut urgent_out) = mpsc::channel(4);
        for serial in [Some(1), Some(2)] {
            jobs.send(job(serial)).await.unwrap();
        }
        urgent.send(job(None)).await.unwrap();
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(next(&mut urgent_out, &mut jobs_out).await.unwrap().serial);
        }
        assert_eq!(order, [None, Some(1), Some(2)]);
        for serial in [Some(3), Some(4), Some(5)] {
            jobs.send(job(serial)).await.unwrap();
        }
        let first = next(&mut urgent_out, &mut jobs_out).await.unwrap();
        urgent.send(job(None)).await.unwrap();
        let mut together = vec![waiting(first, &mut urgent_out, &mut jobs_out)];
        let first = next(&mut urgent_out, &mut jobs_out).await.unwrap();
        together.push(waiting(first, &mut urgent_out, &mut jobs_out));
        let serials = |jobs: &Vec<Job>| jobs.iter().map(|job| job.serial).collect::<Vec<_>>();
        let together: Vec<_> = together.iter().map(serials).collect();
        assert_eq!(together, [[Some(3), None], [Some(4), Some(5)]]);
        drop((jobs, urgent));
        assert!(next(&mut urgent_out, &mut jobs_out).await.is_none());
    }
}
