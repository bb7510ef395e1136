//! What the kernel tells while we listen.

use std::time::Instant;

use holdfast_kernel::netlink::{Event, Link};
use holdfast_proto::v1::{self, interface_event};

use super::Agent;
use super::load::Load;
use super::write::Reason;
use crate::fib::KernelChange;
use crate::limits::{INTERFACE_EVENTS_MAX, REPAIR_DELAY, REPLAY_EVENTS_MAX};

impl Agent {
    /// Handles notifications in their order.
    pub(super) fn handle_events(&mut self, mut events: Vec<Event>) {
        self.deafness.lose(&mut events);
        self.mind_rush(&events);
        let mut damaged = 0u64;
        for event in events {
            match event {
                Event::Link(link) => self.handle_link(link),
                Event::LinkRemoved(link) => {
                    let news = self.links.link_removed(link.index);
                    self.configuration.settled.remove(&link.index);
                    // A sub-interface of ours may have to be made again.
                    self.interfaces_changed(!news.is_empty());
                    self.tell_watchers(news);
                    if self.fib.set_link(link.index, false) {
                        self.check_objects();
                    }
                }
                Event::Address(address) => {
                    let news = self.links.address(&address);
                    self.tell_watchers(news);
                }
                Event::AddressRemoved(address) => {
                    let news = self.links.address_removed(&address);
                    self.interfaces_changed(news.is_some());
                    self.tell_watchers(news);
                }
                Event::Overflow => self.want_load("notifications were lost"),
                event => match &mut self.load {
                    Load::Reading { replay, .. } if replay.len() < REPLAY_EVENTS_MAX => replay.push(event),
                    Load::Reading { again, .. } => *again = true,
                    Load::Away | Load::Listening { .. } => {} // older than what will be read
                    _ => damaged += u64::from(self.fib_event(&event) == KernelChange::Damaged),
                },
            }
        }
        if self.fib.take_moved_members() {
            self.check_objects();
            damaged = damaged.max(1);
        }
        if damaged > 0 {
            self.mend(damaged);
        }
    }

    /// Applies a notification of a route or a nexthop object.
    pub(super) fn fib_event(&mut self, event: &Event) -> KernelChange {
        match event {
            Event::Route(route) => self.fib.kernel_route(route),
            Event::RouteRemoved(route) => self.fib.kernel_route_removed(route),
            Event::Nexthop(object) => self.fib.kernel_nexthop(object),
            Event::NexthopRemoved(object) => self.fib.kernel_nexthop_removed(object.id),
            _ => KernelChange::Known,
        }
    }

    /// A primary mends what was damaged; who is not primary only keeps track, for the writer may well be the primary.
    fn mend(&mut self, damaged: u64) {
        if self.is_writing() && self.fib.is_complete() && self.ending.is_none() {
            tracing::warn!("{damaged} routes or nexthop objects of ours were changed by somebody else; mending");
            self.repair.schedule(Instant::now());
        }
    }

    fn handle_link(&mut self, link: Link) {
        let (index, is_up, name) = (link.index, link.is_up(), link.name.clone());
        // A link is known by its name: one that has got another is another one, and may be configured.
        let is_new = self.links.by_index(index).is_none_or(|known| known.name != name);
        if is_new {
            self.configuration.settled.remove(&index);
        }
        let news = self.links.link(link);
        let changed = news.is_some();
        self.tell_watchers(news);
        if self.fib.set_link(index, is_up) {
            tracing::info!("interface {name} is {}", if is_up { "up" } else { "down" });
            if is_up {
                // Addresses first (IPv6 lost them with the link): the kernel takes no gateway that it cannot reach.
                self.configuration.passes = 0;
                self.apply_configuration();
                self.begin_reconcile(Reason::LinkUp);
            } else {
                // The kernel has dropped its nexthop objects, and their routes, without a word.
                self.check_objects();
            }
        }
        self.interfaces_changed(is_new || (changed && is_up));
    }

    /// Configured addresses may be missing now: the kernel drops IPv6 addresses when a link goes down.
    fn interfaces_changed(&mut self, changed: bool) {
        if changed && self.configuration.interfaces.is_some() {
            self.configuration.passes = 0;
            self.configuration.due.get_or_insert(Instant::now() + REPAIR_DELAY);
        }
    }

    /// Reads the nexthop objects and drops from our picture what the kernel has dropped.
    pub(super) fn check_objects(&mut self) {
        if matches!(self.load, Load::Reading { .. }) {
            self.recheck_objects = true;
            return;
        }
        match self.probe.nexthops().and_then(|objects| Ok((objects, self.probe.links()?))) {
            Ok((objects, links)) => {
                let up = links.iter().filter(|link| link.is_up()).map(|link| link.index).collect();
                let read = self.fib.read_nexthops(&objects, &up);
                self.recheck_objects = read.undecided;
                if read.lost > 0 {
                    self.mend(read.lost.into());
                }
            }
            Err(error) => self.want_load(&error.to_string()),
        }
    }

    /// Tells everybody who watches; who does not keep up is cut off and begins anew.
    pub(super) fn tell_watchers(&mut self, events: impl IntoIterator<Item = interface_event::Event>) {
        for event in events {
            let message = v1::InterfaceEvent { event: Some(event) };
            self.watchers.retain(|watcher| watcher.try_send(Ok(message.clone())).is_ok());
        }
    }

    /// Answers who asked before the interfaces were known.
    pub(super) fn answer_waiting_watchers(&mut self) {
        for reply in std::mem::take(&mut self.waiting_watchers) {
            self.watch_interfaces(reply);
        }
    }

    /// Gives a snapshot, then changes.
    pub(super) fn watch_interfaces(&mut self, reply: crate::request::Reply<crate::request::InterfaceEvents>) {
        if !self.loaded {
            self.waiting_watchers.retain(|waiting| !waiting.is_closed());
            self.waiting_watchers.push(reply);
            return;
        }
        let mut snapshot = self.links.snapshot();
        snapshot.extend(self.silent.snapshot());
        let (send, receive) = tokio::sync::mpsc::channel(INTERFACE_EVENTS_MAX + snapshot.len() + 1);
        for event in snapshot.into_iter().chain([interface_event::Event::SnapshotDone(true)]) {
            let _ = send.try_send(Ok(v1::InterfaceEvent { event: Some(event) }));
        }
        self.watchers.retain(|watcher| !watcher.is_closed());
        self.watchers.push(send);
        let _ = reply.send(Ok(receive));
    }
}
