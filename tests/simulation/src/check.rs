//! What has to hold when a run is over and everything that was under way has arrived.

use holdfast_issu::{Daemon, Request, Side, limits};

use crate::fault::{Fault, Trouble};
use crate::process::Role;
use crate::world::World;

impl World {
    pub(crate) fn check_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.check_deadlines();
        let Some(end) = self.chassis.end.clone() else { return };
        self.check_slots(end.primary);
        let flaps = self.chassis.flaps_at_end;
        if end.success && flaps > 0 {
            self.violate(format!("the run is called a success ({}), {flaps} sessions went down", end.verdict));
        }
        if !end.success && end.reason.is_empty() {
            self.violate("a failure without a reason");
        }
        self.check_delivery();
    }

    /// No state outlived its deadline.
    fn check_deadlines(&mut self) {
        let late: Vec<String> = self
            .chassis
            .states
            .windows(2)
            .filter_map(|pair| {
                let (state, entered) = pair[0];
                let limit = limits::state_deadline(state)?;
                let took = pair[1].1 - entered;
                (took > limit + self.confirm()).then(|| format!("{state} took {took:?}, its limit is {limit:?}"))
            })
            .collect();
        late.into_iter().for_each(|late| self.violate(late));
    }

    fn confirm(&self) -> std::time::Duration {
        self.chassis.confirm.unwrap_or_default()
    }

    /// One slot is whole, in the chassis's term; nothing of the other one is left.
    fn check_slots(&mut self, primary: Side) {
        for daemon in Daemon::ALL {
            let process = self.pid(primary, daemon).map(|pid| &self.processes[pid]);
            let problem = match process {
                None => Some("does not run".to_owned()),
                Some(process) if !process.alive => Some("is dead".to_owned()),
                Some(process) if process.stopped => Some("was left stopped".to_owned()),
                Some(process) if process.role != Role::Primary => Some(format!("is {:?}", process.role)),
                Some(process) if process.epoch != self.chassis.epoch => {
                    Some(format!("is in epoch {}, the chassis in {}", process.epoch, self.chassis.epoch))
                }
                Some(_) => None,
            };
            if let Some(problem) = problem {
                self.violate(format!("after the run {daemon} of the primary slot {problem}"));
            }
            if self.pid(primary.other(), daemon).is_some_and(|pid| self.processes[pid].alive) {
                self.violate(format!("after the run {daemon} of the other slot was left behind"));
            }
        }
        // A link that could not be made is said to be a loss; it cuts off operators, not routing.
        let flip_failed = self.faults.iter().any(|fault| match fault {
            Fault::Request { request, trouble: Trouble::Lost | Trouble::Error } => {
                matches!(self.chassis.requests.get(*request), Some((_, Request::Flip { .. })))
            }
            _ => false,
        });
        if self.chassis.link != primary && !flip_failed {
            self.violate("after the run the management link points to the other slot");
        }
    }

    /// Everything that was said has arrived, once, and the forwarding table says the same.
    fn check_delivery(&mut self) {
        let down = self.neighbors.iter().position(|neighbor| neighbor.socket.is_none());
        if let Some(id) = down {
            self.violate(format!("after the run the session of neighbor {id} is not up"));
        }
        if self.real {
            return self.check_routing();
        }
        if self.flaps() > 0 {
            return; // who comes back begins anew: counts say nothing
        }
        let said: Vec<u32> = self.neighbors.iter().map(|neighbor| neighbor.updates_said).collect();
        let all: u32 = said.iter().sum();
        let heard: Vec<u32> = self.neighbors.iter().map(|neighbor| neighbor.updates_heard).collect();
        for (id, (heard, said)) in heard.into_iter().zip(&said).enumerate() {
            let expected = all - said;
            if heard != expected {
                self.violate(format!("neighbor {id} was told {heard} updates, {expected} were due"));
            }
        }
        let last = |id: usize, destination: u32| (0..said[id]).rev().find(|update| update % 6 == destination);
        for id in 0..said.len() {
            for destination in 0..6 {
                let (due, written) = (last(id, destination), self.fib.entries.get(&(id, destination)).copied());
                if due != written {
                    self.violate(format!("entry ({id}, {destination}) is {written:?}, it ought to be {due:?}"));
                }
            }
        }
    }
}
