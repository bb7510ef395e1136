//! The end of a router: its processes in order, then its sockets and files.

use std::fs;
use std::future::Future;
use std::time::Duration;

use holdfast_issu::Daemon;
use holdfast_proto::v1;

use crate::calls::answer;
use crate::chassis::Chassis;
use crate::limits;
use crate::runtime::Running;

/// For removals that nobody waits for: what goes wrong is in the log.
pub async fn told(removal: impl Future<Output = Result<(), String>>) {
    if let Err(error) = removal.await {
        tracing::error!("{error}");
    }
}

impl Chassis {
    /// Sessions are ended politely (`message` is for the neighbours' operators), then management, then forwarding (which keeps or flushes its routes). Whatever does
    /// not go in time is killed.
    pub async fn stop_processes(&mut self, flush: bool, message: &str) {
        self.stopping = true;
        let backup = holdfast_ipc::other_slot(self.master);
        for running in self.running(backup) {
            running.kill(limits::EXIT_DEADLINE).await;
        }
        for daemon in [Daemon::Rpd, Daemon::Mgd, Daemon::Pfed] {
            let Some(process) = self.process(self.master, daemon) else { continue };
            let (running, link) = (process.running.clone(), process.link.clone());
            running.unfence();
            let flush = flush && daemon == Daemon::Pfed;
            let within: Duration = if flush { limits::FLUSH_DEADLINE } else { limits::TERMINATE_DEADLINE };
            let mode = v1::terminate_request::Mode::Stop.into();
            let request = v1::TerminateRequest { mode, flush, message: message.to_owned() };
            let asked = answer(within, link.daemon().terminate(request)).await;
            if asked.is_err() || running.exited(within).await.is_none() {
                tracing::warn!("{}/{daemon} did not end when asked and is killed", self.master);
                running.kill(limits::EXIT_DEADLINE).await;
            }
        }
        self.stop_periodic().await;
        self.release_all(true).await;
        self.remember_processes();
    }

    /// Removes what the runtime has of both slots, and waits for it.
    async fn release_all(&self, politely: bool) {
        for released in ["re0", "re1"].map(|slot| self.runtime.release(slot, politely)) {
            told(released).await;
        }
    }

    /// Ends everything at once: for a start that failed.
    pub async fn kill_processes(&mut self) {
        self.stopping = true;
        let all: Vec<_> = ["re0", "re1"].into_iter().flat_map(|slot| self.running(slot)).collect();
        all.iter().for_each(Running::kill_now);
        self.stop_periodic().await;
        for running in all {
            running.exited(limits::EXIT_DEADLINE).await;
        }
        self.release_all(false).await;
        self.remember_processes();
    }

    /// Removes what was made in the run-dir, and the run-dir itself when it was made here.
    pub fn remove_files(&self, made_run_dir: bool) {
        let _ = fs::remove_dir_all(self.run_dir.oci_dir());
        let _ = fs::remove_dir_all(self.run_dir.periodic_dir());
        for slot in ["re0", "re1"] {
            let _ = fs::remove_dir_all(self.run_dir.slot_dir(slot));
        }
        let files = [
            self.run_dir.master_management_socket(),
            self.run_dir.chassis_socket(),
            self.run_dir.vault_socket(),
            self.run_dir.periodic_socket(),
            self.run_dir.pid_file(),
            self.run_dir.lock(),
        ];
        for file in files {
            let _ = fs::remove_file(file);
        }
        if made_run_dir {
            crate::store::discard(self.run_dir.path());
        }
    }
}
