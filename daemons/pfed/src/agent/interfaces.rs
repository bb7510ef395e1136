//! The configuration of the interfaces: read, compared, applied, answered.

use std::time::Instant;

use holdfast_proto::v1::{self, Role};

use super::Agent;
use crate::interface_plan;
use crate::limits::{INTERFACE_PASSES_MAX, RETRY_DELAY};
use crate::writer::{Done, Job};

impl Agent {
    /// A committed configuration has come.
    pub(super) fn configure(&mut self, configuration: &v1::RouterConfig) {
        let commit_id = configuration.commit_id;
        match interface_plan::read(&configuration.interfaces) {
            Ok(interfaces) => {
                if self.configuration.interfaces.as_ref() != Some(&interfaces) {
                    self.configuration.settled.clear();
                }
                let before = self.configuration.interfaces.as_deref().unwrap_or_default();
                self.configuration.former = interface_plan::former_descriptions(before, &interfaces);
                self.configuration.commit_id = commit_id;
                self.configuration.interfaces = Some(interfaces);
                self.configuration.answered = false;
                self.configuration.passes = 0;
                self.apply_configuration();
            }
            Err(why) => {
                tracing::error!("configuration {commit_id} cannot be applied: {why}");
                self.answer(commit_id, false, why);
            }
        }
    }

    fn answer(&mut self, commit_id: u64, ok: bool, message: String) {
        let report = v1::ReportAppliedRequest { daemon: "pfed".into(), commit_id, ok, message };
        self.report.send_replace(Some(report));
    }

    /// One pass: compares, and writes the difference. Its end leads to the next one, until nothing differs.
    pub(super) fn apply_configuration(&mut self) {
        if !self.loaded || self.configuration.under_way.is_some() || self.ending.is_some() {
            return;
        }
        let Some(interfaces) = &self.configuration.interfaces else { return };
        if self.role != Role::Primary {
            // Noted. What it asks for is in the kernel already, by the primary's hand.
            self.configuration_applied(String::new());
            return;
        }
        let (former, settled) = (&self.configuration.former, &mut self.configuration.settled);
        let interface_plan::InterfacePlan { planned, names } =
            interface_plan::plan(interfaces, former, &self.links, settled);
        if planned.batch.is_empty() {
            let waiting = interface_plan::waiting(interfaces, &self.links);
            let notes: Vec<String> = waiting.iter().map(|at| format!("interface {} {}", at.name, at.problem)).collect();
            self.configuration.failures.clear();
            self.configuration_applied(notes.join(", "));
            return;
        }
        if self.configuration.passes >= INTERFACE_PASSES_MAX {
            self.configuration_failed();
            return;
        }
        self.configuration.passes += 1;
        self.configuration.names = names;
        tracing::info!("interfaces: {} changes", planned.memos.len());
        self.planned_serial += 1;
        self.configuration.under_way = Some(self.planned_serial);
        self.outgoing.push_back(Job { serial: Some(self.planned_serial), planned });
    }

    /// The kernel has answered a pass: look what is there now.
    pub(super) fn interfaces_done(&mut self, done: &Done) {
        self.configuration.under_way = None;
        let names = std::mem::take(&mut self.configuration.names);
        self.configuration.failures.clear();
        self.configuration.excused.clear();
        for failure in &done.outcome.failures {
            let what = match done.memos.get(failure.index) {
                Some(crate::fib::Memo::Interface(what)) => what.as_str(),
                _ => "a change to an interface",
            };
            let error = format!("{what}: {}", failure.reason());
            let name = names.get(failure.index).cloned().unwrap_or_default();
            // EEXIST and EADDRNOTAVAIL: it is so already. The next pass tells.
            if failure.errno == libc::EEXIST || failure.errno == libc::EADDRNOTAVAIL {
                self.configuration.excused.push((name, error));
                continue;
            }
            tracing::warn!("{error}");
            self.configuration.failures.push((name, error));
        }
        if let Err(error) = self.refresh_interfaces() {
            self.want_load(&error.to_string());
        }
        match self.configuration.failures.is_empty() {
            true => self.apply_configuration(),
            false => self.configuration_failed(),
        }
    }

    fn configuration_applied(&mut self, note: String) {
        if std::mem::replace(&mut self.configuration.answered, true) {
            return;
        }
        self.configuration.former.clear();
        let commit_id = self.configuration.commit_id;
        match note.is_empty() {
            true => tracing::info!("configuration {commit_id} is in force"),
            false => tracing::warn!("configuration {commit_id} is in force; {note}"),
        }
        self.answer(commit_id, true, note);
    }

    /// What could not be applied is reported, and tried again later.
    fn configuration_failed(&mut self) {
        let commit_id = self.configuration.commit_id;
        if self.configuration.failures.is_empty() {
            self.configuration.failures.append(&mut self.configuration.excused);
        }
        if !std::mem::replace(&mut self.configuration.answered, true) {
            let why = match self.configuration.failures.is_empty() {
                true => "somebody else keeps changing the interfaces".to_owned(),
                false => {
                    let failures: Vec<&str> = self.configuration.failures.iter().map(|(_, why)| why.as_str()).collect();
                    failures.join("; ")
                }
            };
            self.answer(commit_id, false, why);
        }
        self.configuration.passes = 0;
        self.configuration.settled.clear();
        self.configuration.due = Some(Instant::now() + RETRY_DELAY);
    }
}
