//! pfed: writes to the kernel's forwarding table what its slot's rpd wants, and nothing that is there already.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_issu::{Answer, RequestId};

use crate::daemon::{IDLE_WAIT, Standing, progress, readiness, take_standing};
use crate::fault::Bug;
use crate::fib::{Batch, Key};
use crate::process::{Call, Os, Role, Start};
use crate::world::Time;

/// How long a new primary waits for its rpd's word after the last thing heard from it. As in the daemon's `limits`.
const HOLD_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two tries to open the stream.
const REOPEN_INTERVAL: Duration = Duration::from_millis(50);

struct Pfed {
    os: Os,
    standing: Standing,
    /// What rpd wants, as far as it has said.
    wanted: BTreeMap<Key, u32>,
    /// Which stream was read last.
    stream: Option<u64>,
    /// The stream has brought the whole table.
    complete: bool,
    /// Everything that was wanted at a change of roles is looked at again.
    reconcile: bool,
    /// Nothing is written before rpd has said that it has told everything. When something was heard last, from the Commit on.
    hold: Option<Time>,
}

pub(crate) async fn pfed(os: Os, start: Start) {
    let startup = os.world.borrow_mut().some_us(5_000, 40_000);
    os.work(startup).await;
    let standing = Standing { role: start.role, epoch: start.epoch };
    os.is_now(standing.role, standing.epoch);
    let mut pfed = Pfed {
        os: os.clone(),
        standing,
        wanted: BTreeMap::new(),
        stream: None,
        complete: false,
        reconcile: false,
        hold: None,
    };
    os.call(|world, pid| world.processes[pid].ready = true).await;
    loop {
        let now = os.now();
        let wait = if pfed.is_open() { IDLE_WAIT } else { REOPEN_INTERVAL };
        os.wait(if pfed.has_work() { now } else { now + wait }).await;
        while let Some((id, call)) = os.next_call().await {
            if matches!(call, Call::Terminate) {
                return;
            }
            pfed.answer(id, call).await;
        }
        if !pfed.is_open() {
            pfed.open().await;
        }
        let frozen = pfed.standing.role == Role::Frozen && !os.world.borrow().has_bug(Bug::PfedWritesOn);
        if !frozen {
            pfed.turn().await;
        }
    }
}

impl Pfed {
    fn is_open(&self) -> bool {
        let world = self.os.world.borrow();
        let side = world.processes[self.os.pid].side;
        self.stream.is_some() && world.forwarding_stream(side) == self.stream
    }

    async fn open(&mut self) {
        self.stream = self
            .os
            .call(|world, pid| {
                let opened = world.open_forwarding_stream(pid);
                let side = world.processes[pid].side;
                world.forwarding_stream(side).filter(|_| opened)
            })
            .await;
        self.complete = false;
    }

    fn writes(&self) -> bool {
        let frozen = self.standing.role == Role::Frozen && self.os.world.borrow().has_bug(Bug::PfedWritesOn);
        frozen || (self.standing.role == Role::Primary && self.hold.is_none())
    }

    /// Nobody is waited for without end.
    fn give_up_hold(&mut self) {
        let now = self.os.now();
        if self.standing.role == Role::Primary && self.hold.is_some_and(|heard| now >= heard + HOLD_SILENCE_MAX) {
            self.os.world.borrow_mut().note(|| "pfed does not wait for rpd's word any longer".into());
            self.hold = None;
        }
    }

    /// Hears a batch, which may be what was waited for.
    fn hold_hears(&mut self, batch: &Batch) {
        let is_over = (batch.caught_up || batch.is_last) && batch.epoch >= self.standing.epoch;
        self.hold = self.hold.filter(|_| !is_over).map(|_| self.os.now());
    }

    fn has_work(&self) -> bool {
        let world = self.os.world.borrow();
        let batches = !world.processes[self.os.pid].batches.is_empty();
        self.standing.role != Role::Frozen && (batches || (self.reconcile && self.complete && self.writes()))
    }

    async fn turn(&mut self) {
        self.give_up_hold();
        if self.writes() && self.complete && std::mem::take(&mut self.reconcile) {
            for (key, value) in self.wanted.clone() {
                self.write(key, value).await;
            }
        }
        while let Some(batch) = self.os.call(|world, pid| world.processes[pid].batches.pop_front()).await {
            for (key, value) in &batch.routes {
                self.wanted.insert(*key, *value);
                if self.writes() {
                    self.write(*key, *value).await;
                }
            }
            self.complete |= batch.is_last;
            self.hold_hears(&batch);
            self.os.call(|world, pid| world.acknowledge_batch(pid, batch.sequence)).await;
            if !self.os.world.borrow().processes[self.os.pid].calls.is_empty() {
                return; // a call is waited for; the rest can wait
            }
        }
    }

    async fn write(&mut self, key: Key, value: u32) {
        let blind = self.os.world.borrow().has_bug(Bug::BlindWrites);
        // What is in the kernel's table is known here from its notifications.
        if blind || self.os.world.borrow().fib.entries.get(&key) != Some(&value) {
            self.os.call(|world, pid| world.write_entry(pid, key, value)).await;
        }
    }

    fn pending_writes(&self) -> u64 {
        let world = self.os.world.borrow();
        self.wanted.iter().filter(|(key, value)| world.fib.entries.get(*key) != Some(*value)).count() as u64
    }

    async fn answer(&mut self, id: RequestId, call: Call) {
        let mono_ns = self.os.now().as_nanos() as u64;
        let (next, answer) = match call {
            Call::Synchronization => {
                let pending = self.pending_writes();
                let known = self.is_open() && self.complete;
                (
                    Ok(self.standing),
                    progress(known && pending == 0, pending, self.wanted.len() as u64, "routes missing"),
                )
            }
            Call::Prepare => (Ok(self.standing), readiness((!self.is_open()).then_some("no stream from rpd"))),
            Call::Freeze { .. } => {
                self.hold = None;
                (self.standing.frozen(), Answer::Frozen { mono_ns })
            }
            Call::Activate { epoch, .. } => {
                let next = self.standing.activated(epoch);
                if next.is_ok() && !self.os.world.borrow().has_bug(Bug::PfedDoesNotWait) {
                    self.hold = Some(self.os.now());
                }
                (next, Answer::Done)
            }
            Call::Commit { epoch } => {
                let next = self.standing.committed(epoch);
                self.reconcile |= next.is_ok();
                self.hold = self.hold.map(|_| self.os.now());
                (next, Answer::Live { mono_ns })
            }
            Call::Follow { epoch } => (self.standing.following(epoch), Answer::Done),
            Call::Verify => {
                let waits = self.hold.is_some();
                let done = self.is_open() && self.complete && !self.reconcile && !waits && self.pending_writes() == 0;
                let reason = match (done, waits) {
                    (true, _) => String::new(),
                    (_, true) => "rpd has not told everything since the switch".into(),
                    (_, false) => "writing".into(),
                };
                (Ok(self.standing), Answer::Verified { done, ok: done, reason })
            }
            _ => (Ok(self.standing), Answer::Done),
        };
        take_standing(&self.os, &mut self.standing, id, next, answer).await;
    }
}
