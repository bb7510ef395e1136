//! The loop that owns everything: the tables, the interfaces, the role.
//!
//! One task, so nothing is locked and every decision sees one state. It waits for whatever comes first (answers of the
//! writer thread, notifications of the kernel, a piece of a dump, a request, a batch from rpd, a configuration, a
//! deadline), handles it in a bounded time and waits again. Work on large tables (comparing a million
//! routes) is done in slices between these.
//!
//! - [`state`]: what it holds.  [`kernel`]: what the kernel tells.  [`load`]: reading the kernel's table as a whole.
//! - [`program`]: the stream from rpd.  [`urgent`]: what of it overtakes everything.  [`mod@write`]: batches to the kernel, their outcome, repairs, retries.
//! - [`mod@neighbors`]: who does not answer.  [`rush`]: what is too much for a backup to go along with.
//! - [`roles`]: freeze, activate, commit, terminate.  [`hold`]: what a new primary waits for.  [`interfaces`]: configuration.  [`views`]: answers to operators.  [`mod@compare`]: the tables side by side, and mended.

mod compare;
mod hold;
mod interfaces;
mod kernel;
mod load;
mod neighbors;
mod program;
mod roles;
mod rush;
mod state;
mod urgent;
mod views;
mod write;

use std::collections::VecDeque;
use std::time::Instant;

use holdfast_kernel::netlink::{AsyncMonitor, Event};
use holdfast_proto::v1;
use tokio::sync::{mpsc, watch};

use crate::error::PfedError;
use crate::limits::{MONITOR_READS_PER_TURN, PLANNED_BATCHES_MAX, RECONCILE_PREFIXES_PER_TURN};
use crate::loader::Loaded;
use crate::request::{FailureWord, Request};
use crate::writer::{Done, Job};
use load::Load;
use program::Stream;
pub use state::Agent;

/// Everything that reaches the agent from the other tasks.
#[derive(Debug)]
pub struct Inputs {
    /// From the gRPC services.
    pub requests: mpsc::Receiver<Request>,
    /// From mgd.
    pub configuration: watch::Receiver<Option<v1::RouterConfig>>,
    /// True once the process is asked to end.
    pub shutdown: watch::Receiver<bool>,
}

impl Agent {
    /// Runs until it is told to end, and then until what is under way is in the kernel.
    pub async fn run(mut self, mut inputs: Inputs) -> Result<(), PfedError> {
        self.begin_load()?;
        while !self.is_finished() {
            self.advance()?;
            self.turn(&mut inputs).await?;
        }
        Ok(())
    }

    /// Waits for one thing and handles it.
    async fn turn(&mut self, inputs: &mut Inputs) -> Result<(), PfedError> {
        match self.next_input(inputs).await {
            Input::Word(word) => self.hear_word(&word),
            Input::Done(done) => self.batch_done(done.ok_or(PfedError::Ended("the writer thread"))?),
            Input::Request(Some(request)) => self.handle_request(request),
            Input::Request(None) | Input::Shutdown => self.retire("asked to end"),
            Input::Events(events) => self.handle_events(events?),
            Input::Neighbors(events) => self.handle_neighbors(&events?),
            Input::Piece(piece) => self.handle_piece(piece),
            Input::Configuration => {
                let newest = inputs.configuration.borrow_and_update().clone();
                if let Some(configuration) = newest {
                    self.configure(&configuration);
                }
            }
            Input::Batch(batch) => self.handle_batch(batch),
            Input::Nothing => {}
        }
        Ok(())
    }

    /// What comes first, in the order of what must not wait.
    async fn next_input(&mut self, inputs: &mut Inputs) -> Input {
        let (can_program, busy, ending) = (self.can_program(), self.has_slice_to_do(), self.ending.is_some());
        let deadline = self.next_deadline().map(tokio::time::Instant::from_std);
        tokio::select! { biased;
            word = next_word(&mut self.words) => Input::Word(word),
            done = self.writer.done.recv() => Input::Done(done),
            () = hand_over(&self.writer.jobs, &mut self.outgoing) => Input::Nothing,
            request = inputs.requests.recv() => Input::Request(request),
            _ = inputs.shutdown.changed(), if !ending => Input::Shutdown,
            events = hear(&mut self.monitor) => Input::Events(events),
            piece = next_piece(&mut self.load) => Input::Piece(piece),
            events = hear(&mut self.neighbor_monitor) => Input::Neighbors(events),
            Ok(()) = inputs.configuration.changed() => Input::Configuration,
            batch = next_batch(&mut self.stream), if can_program => Input::Batch(batch),
            () = sleep_until(deadline) => Input::Nothing,
            () = tokio::task::yield_now(), if busy => Input::Nothing,
        }
    }

    /// Does what is due and can be done without waiting.
    fn advance(&mut self) -> Result<(), PfedError> {
        let now = Instant::now();
        self.stay_away_no_longer(now)?;
        if self.load_is_due(now) {
            self.begin_load()?;
        }
        if self.has_slice_to_do() {
            self.reconcile_slice(RECONCILE_PREFIXES_PER_TURN);
        }
        self.do_what_is_due(now);
        self.read_neighbors(now);
        self.answer_acks();
        self.answer_frozen();
        self.answer_mending(now);
        Ok(())
    }

    /// Whether a comparison of the tables is under way and may plan more.
    fn has_slice_to_do(&self) -> bool {
        self.reconcile.is_some() && self.is_writing() && self.outgoing.len() < PLANNED_BATCHES_MAX
    }
}

/// What a turn of the loop is about.
enum Input {
    Word(FailureWord),
    Done(Option<Done>),
    Request(Option<Request>),
    Shutdown,
    Events(Result<Vec<Event>, PfedError>),
    Neighbors(Result<Vec<Event>, PfedError>),
    Piece(Loaded),
    Configuration,
    Batch(Option<v1::FibBatch>),
    /// Only to look again at what is due.
    Nothing,
}

/// Gives one batch to the writer as soon as it has room.
async fn hand_over(jobs: &mpsc::Sender<Job>, outgoing: &mut VecDeque<Job>) {
    if outgoing.is_empty() {
        return std::future::pending().await;
    }
    // When the thread has ended, its results end too, and that is reported.
    let Ok(permit) = jobs.reserve().await else { return std::future::pending().await };
    if let Some(job) = outgoing.pop_front() {
        permit.send(job);
    }
}

/// Takes what the kernel has told, within bounds.
async fn hear(monitor: &mut AsyncMonitor) -> Result<Vec<Event>, PfedError> {
    let mut events = Vec::new();
    let heard = monitor.wait(&mut events, MONITOR_READS_PER_TURN).await;
    heard.map_err(|source| PfedError::Start { what: "hear of the kernel's changes", source })?;
    Ok(events)
}

async fn next_piece(load: &mut Load) -> Loaded {
    match load {
        Load::Reading { pieces, .. } => pieces.recv().await.unwrap_or_else(|| Loaded::End(Err(ended_early()))),
        _ => std::future::pending().await,
    }
}

fn ended_early() -> holdfast_kernel::KernelError {
    holdfast_kernel::KernelError::Malformed("the thread that reads the table ended without a result")
}

async fn next_word(words: &mut Option<mpsc::Receiver<FailureWord>>) -> FailureWord {
    if let Some(words) = words
        && let Some(word) = words.recv().await
    {
        return word;
    }
    // The end of a stream is heard of with its batches.
    std::future::pending().await
}

async fn next_batch(stream: &mut Option<Stream>) -> Option<v1::FibBatch> {
    match stream {
        Some(stream) => stream.batches.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
