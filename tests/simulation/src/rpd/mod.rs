//! rpd: the daemon's loop over the real ledgers and the real frames, with the speaker in small.
//!
//! Reads like `daemons/rpd/src/core`, in the same order of system calls; where that order matters it is that code which is
//! modelled here, and both have to be changed together.

mod handoff;
mod real;
mod replication;
mod sessions;
mod speaker;

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_issu::{Answer, RequestId};
use holdfast_replication::ledger::{FollowerLedger, Ledger, Remainder};

use crate::bgp::{DESTINATIONS, Engine};
use crate::daemon::{IDLE_WAIT, Standing, progress, readiness, take_standing};
use crate::fault::Bug;
use crate::fib::{Batch, Key};
use crate::process::{Call, Os, Role, Start};
use crate::world::Time;
use handoff::Verification;
use replication::{Follower, Sender};
use speaker::Speaker;

/// Entries in one message to pfed, and messages that may be unanswered.
const BATCH_MAX: usize = 4;
const WINDOW: u64 = 4;
/// Between two tries to reach the primary.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// A session that this engine reads and writes.
struct Connection {
    socket: usize,
    ledger: Ledger,
    keepalive_due: Time,
    /// The handshake is over. In the small protocol there is none.
    established: bool,
    side: ConnectionSide,
}

/// A session that another engine owns.
struct Adopted {
    /// Where this engine led it before.
    own: Option<usize>,
    ledger: FollowerLedger,
    ready: Option<(usize, Remainder)>,
    /// It does not go over: its connection, where that can be had, and why.
    interrupted: Option<(Option<usize>, String)>,
}

struct Rpd {
    os: Os,
    standing: Standing,
    speaker: Speaker,
    /// The real speaker; then the small one only keeps what pfed is told.
    engine: Option<Engine>,
    connections: BTreeMap<usize, Connection>,
    adopted: BTreeMap<usize, Adopted>,
    thawed: bool,
    sender: Option<Sender>,
    follower: Option<Follower>,
    follow_at: Time,
    verification: Verification,
    /// What it holds cannot become right any more.
    failure: String,
    fib: FibStream,
}

/// rpd's end of the stream to pfed.
#[derive(Default)]
struct FibStream {
    number: Option<u64>,
    sequence: u64,
    acknowledged: u64,
    /// The whole table has been said.
    complete: bool,
    /// The term in which pfed was told that it has heard everything.
    caught_up_in: Option<u64>,
}

pub(crate) async fn rpd(os: Os, start: Start) {
    let startup = os.world.borrow_mut().some_us(10_000, 60_000);
    os.work(startup).await;
    let standing = Standing { role: start.role, epoch: start.epoch };
    os.is_now(standing.role, standing.epoch);
    let engine = {
        let world = os.world.borrow();
        let following = start.role != Role::Primary;
        world.real.then(|| Engine::new(following, world.neighbors.len(), world.restarting, os.now()))
    };
    let mut rpd = Rpd {
        engine: engine.map(|engine| engine.expect("a configuration that holds")),
        os: os.clone(),
        standing,
        speaker: Speaker::default(),
        connections: BTreeMap::new(),
        adopted: BTreeMap::new(),
        thawed: false,
        sender: None,
        follower: None,
        follow_at: Duration::ZERO,
        verification: Verification::default(),
        failure: String::new(),
        fib: FibStream::default(),
    };
    if rpd.engine.is_some() {
        rpd.speaker.table = (0..DESTINATIONS).map(|destination| ((0, destination), 0)).collect();
    }
    os.call(|world, pid| world.processes[pid].ready = true).await;
    loop {
        os.wait(rpd.next_deadline()).await;
        while let Some((id, call)) = os.next_call().await {
            if matches!(call, Call::Terminate) {
                return;
            }
            rpd.answer(id, call).await;
        }
        rpd.turn().await;
    }
}

impl Rpd {
    fn bug(&self, bug: Bug) -> bool {
        self.os.world.borrow().has_bug(bug)
    }

    fn next_deadline(&self) -> Time {
        let now = self.os.now();
        let idle = now + IDLE_WAIT;
        if self.has_work() {
            return now;
        }
        match self.standing.role {
            Role::Primary => {
                let keepalive = self.connections.values().map(|connection| connection.keepalive_due).min();
                let timer = self.engine.as_ref().and_then(|engine| engine.speaker.next_deadline());
                [Some(idle), timer.map(|due| due.max(now)), keepalive, self.replication_deadline()]
                    .into_iter()
                    .flatten()
                    .min()
                    .unwrap_or(idle)
            }
            Role::Backup if self.follower.is_none() && self.failure.is_empty() => idle.min(self.follow_at.max(now)),
            _ => idle,
        }
    }

    fn has_work(&self) -> bool {
        let world = self.os.world.borrow();
        let process = &world.processes[self.os.pid];
        let stalled = self.sender.as_ref().is_some_and(|sender| !sender.is_drained());
        let sessions = self.standing.role == Role::Primary
            && !stalled
            && self.connections.iter().any(|(neighbor, connection)| {
                let made = self.engine.as_ref().is_some_and(|e| connection.established && e.has_output(*neighbor));
                let routes = self.admits_output() && (self.speaker.owes(*neighbor) || made);
                let output = !connection.ledger.pending().is_empty() || routes;
                let intake = self.admits_intake() || !connection.established;
                (intake && self.may_read(&world, connection)) || (output && world.is_writable(connection.socket))
            });
        let follows = matches!(self.standing.role, Role::Backup | Role::Frozen)
            && self.follower.as_ref().is_some_and(|follower| follower.has_work(&world));
        let snapshot = !stalled && self.sender.as_ref().is_some_and(|sender| sender.snapshot_may_go_on(&world));
        let accepts = self.standing.role == Role::Primary && !world.backlog.is_empty();
        let background = self.engine.as_ref().is_some_and(|engine| engine.speaker.has_background());
        background
            || sessions
            || follows
            || snapshot
            || accepts
            || !process.calls.is_empty()
            || !process.acks.is_empty()
    }

    async fn turn(&mut self) {
        match self.standing.role {
            Role::Primary => self.primary_turn().await,
            Role::Backup | Role::Frozen => self.follower_turn().await,
            Role::Activated => {}
        }
        self.rib_turn();
        if self.standing.role != Role::Frozen {
            self.fib_turn().await;
        }
    }

    async fn primary_turn(&mut self) {
        self.flush_replication().await;
        self.accept_followers().await;
        self.hear_follower().await;
        self.accept_connections().await;
        self.read_sessions().await;
        match self.engine {
            Some(_) => self.real_tick().await,
            None => self.keep_alive(),
        }
        self.write_sessions().await;
        self.send_to_follower().await;
    }

    /// What changed, on its way to pfed; the whole table when a stream opens.
    async fn fib_turn(&mut self) {
        let side = self.os.world.borrow().processes[self.os.pid].side;
        let number = self.os.world.borrow().forwarding_stream(side);
        if number != self.fib.number {
            self.fib = FibStream { number, ..FibStream::default() };
            self.speaker.changed = self.speaker.table.keys().copied().collect();
        }
        while !self.os.world.borrow().processes[self.os.pid].acks.is_empty() {
            let acked = self.os.call(|world, pid| world.processes[pid].acks.pop_front()).await;
            self.fib.acknowledged = self.fib.acknowledged.max(acked.unwrap_or_default());
        }
        while number.is_some() && self.fib_has_news() && self.fib.sequence - self.fib.acknowledged < WINDOW {
            let keys: Vec<Key> = self.speaker.changed.iter().copied().take(BATCH_MAX).collect();
            let mut batch = Batch::default();
            for key in keys {
                self.speaker.changed.remove(&key);
                batch.routes.push((key, self.speaker.table[&key]));
            }
            batch.epoch = self.standing.epoch;
            batch.is_last = self.speaker.changed.is_empty() && self.converged();
            self.fib.complete |= batch.is_last;
            if self.speaker.changed.is_empty() {
                batch.caught_up = self.leads_in().is_some();
                self.fib.caught_up_in = self.leads_in();
            }
            self.fib.sequence += 1;
            batch.sequence = self.fib.sequence;
            self.os
                .call(|world, pid| {
                    // A stream that was closed meanwhile takes nothing; the next one carries the whole table.
                    if world.forwarding_stream(side) == number {
                        world.send_batch(pid, batch);
                    }
                })
                .await;
        }
    }

    fn fib_has_news(&self) -> bool {
        let word_is_due = self.leads_in().is_some() && self.fib.caught_up_in != self.leads_in();
        !self.speaker.changed.is_empty() || (!self.fib.complete && self.converged()) || word_is_due
    }

    /// The term that this engine leads in, if it does.
    fn leads_in(&self) -> Option<u64> {
        (self.standing.role == Role::Primary).then_some(self.standing.epoch)
    }

    /// What it holds is a whole: it is primary, or has all that its primary had.
    fn converged(&self) -> bool {
        self.follower.as_ref().map_or(self.standing.role == Role::Primary, |follower| follower.snapshot_done)
    }

    fn fib_is_settled(&self) -> bool {
        self.fib.number.is_some() && self.speaker.changed.is_empty() && self.fib.acknowledged == self.fib.sequence
    }

    async fn answer(&mut self, id: RequestId, call: Call) {
        match call {
            Call::Freeze { epoch } => self.freeze(id, epoch).await,
            Call::Activate { epoch, peer_lost, expected } => {
                let result = self.activate(epoch, peer_lost, expected).await;
                self.os.answer(id, result.map(|()| Answer::Done)).await;
            }
            Call::Commit { epoch } => self.commit(id, epoch).await,
            Call::Follow { epoch } => {
                let next = self.standing.following(epoch);
                take_standing(&self.os, &mut self.standing, id, next, Answer::Done).await;
            }
            Call::Synchronization => {
                let answer = self.synchronization();
                self.os.answer(id, answer).await;
            }
            Call::Prepare => {
                let ready = self.sender.as_ref().is_some_and(Sender::is_snapshot_done);
                let unready = self.unready().or((!ready).then(|| "the backup does not hold all facts yet".into()));
                let answer = readiness(unready.as_deref());
                self.os.answer(id, Ok(answer)).await;
            }
            Call::Verify => {
                let answer = self.verify();
                self.os.answer(id, Ok(answer)).await;
            }
            Call::Status | Call::Checks | Call::Cancel | Call::Terminate => self.os.answer(id, Ok(Answer::Done)).await,
        }
    }

    fn synchronization(&self) -> Result<Answer, String> {
        if !self.failure.is_empty() {
            return Err(self.failure.clone());
        }
        let Some(follower) = &self.follower else {
            return Ok(progress(false, 0, 0, "it does not follow a primary"));
        };
        let equal = follower.snapshot_done
            && !follower.comparisons.is_empty()
            && follower.comparisons.iter().all(|comparison| comparison.equal);
        Ok(progress(equal, 0, follower.frames(), "tables differ"))
    }
}
