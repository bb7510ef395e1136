//! The live view of an in-service run: redrawn in place, from any session, without effect on the run.
//!
//! What is shown comes from chassisd, which stays when mgd is replaced. Two tasks bring it: one follows the run's events
//! through every break, one asks how far the run is. The loop draws, and looks at the keyboard: `q` or Ctrl-C leaves.
//!
//! ```text
//!  Follower --events--+
//!                     +--> loop --layout--> lines of spans --screen--> terminal
//!  GetRun ----state---+      '-- keyboard: q, Ctrl-C
//! ```

mod columns;
mod layout;
mod screen;
mod span;

use std::time::Duration;

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{GetRunRequest, RunEvent, RunState, chassis_client::ChassisClient};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use self::{layout::View, screen::Screen};
use super::{
    error::CliError,
    follow::{self, Follower},
};

pub use screen::{columns, usable};

/// Between two drawings: fast enough to look alive, slow enough for a terminal far away.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);
/// Between two questions to chassisd.
const STATE_INTERVAL: Duration = Duration::from_millis(200);
/// One answer of chassisd; a late one is as good as none, the next comes soon.
const STATE_DEADLINE: Duration = Duration::from_secs(2);
/// Events waiting to be drawn.
const EVENT_QUEUE_MAX: usize = 256;
/// Lines of the log that are kept to be shown.
const LOG_LINES_MAX: usize = 64;

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Shows the run until it has ended or the operator leaves. Succeeds when the run does, and when it is left.
pub async fn watch(run_dir: &RunDir, run_id: u64) -> Result<(), CliError> {
    let (event_sender, mut events) = mpsc::channel(EVENT_QUEUE_MAX);
    let (state_sender, state) = watch::channel(None);
    let _tasks = (
        Task(tokio::spawn(bring_events(Follower::new(run_dir, run_id), event_sender))),
        Task(tokio::spawn(bring_state(run_dir.clone(), run_id, state_sender))),
    );
    let mut view = View::new(run_id);
    let mut screen = Screen::open()?;
    let outcome = loop {
        view.state.clone_from(&state.borrow());
        screen.draw(&view)?;
        tokio::select! {
            event = events.recv() => match event {
                Some(Ok(event)) => {
                    let shown = follow::shown(&event, false);
                    view.log.extend(shown.lines().map(str::to_owned));
                    let surplus = view.log.len().saturating_sub(LOG_LINES_MAX);
                    view.log.drain(..surplus);
                    if event.ended {
                        break follow::verdict(&event);
                    }
                }
                Some(Err(error)) => break Err(error),
                None => break Err(CliError::Interrupted),
            },
            () = tokio::time::sleep(DRAW_INTERVAL) => {}
        }
        if screen.wants_to_leave() {
            screen.close(None)?;
            println!("no longer watching; run {run_id} goes on");
            return Ok(());
        }
    };
    if let Some(last) = ask(run_dir, run_id).await {
        view.state = Some(last);
    }
    screen.close(Some(&view))?;
    outcome
}

async fn bring_events(mut follower: Follower, sender: mpsc::Sender<Result<RunEvent, CliError>>) {
    loop {
        let event = follower.next().await;
        let last = event.as_ref().map_or(true, |event| event.ended);
        if sender.send(event).await.is_err() || last {
            return;
        }
    }
}

async fn bring_state(run_dir: RunDir, run_id: u64, sender: watch::Sender<Option<RunState>>) {
    while !sender.is_closed() {
        if let Some(state) = ask(&run_dir, run_id).await {
            sender.send_replace(Some(state));
        }
        tokio::time::sleep(STATE_INTERVAL).await;
    }
}

async fn ask(run_dir: &RunDir, run_id: u64) -> Option<RunState> {
    let mut client = ChassisClient::new(holdfast_ipc::channel(&run_dir.chassis_socket()));
    let reply =
        tokio::time::timeout(STATE_DEADLINE, client.get_run(GetRunRequest { run_id, ..Default::default() })).await;
    reply.ok()?.ok().map(tonic::Response::into_inner)
}
