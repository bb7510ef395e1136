//! Processes, versions, alarms, and whether the backup could take over.

use holdfast_proto::v1::{
    Alarm, ChassisState, ClearAlarmsRequest, GetChassisRequest, GetRunRequest, ProcessState, RestartProcessRequest,
    Role, SessionReadiness, TableComparison,
};
use serde::Serialize;

use super::{CommandResult, Context, Outcome, chassis::CHASSISD};
use crate::{
    clients::{AskError, ask},
    limits::ANSWER_DEADLINE,
    render,
};

async fn chassis(context: &Context) -> Result<ChassisState, AskError> {
    let mut chassis = context.state.clients.chassis();
    ask(CHASSISD, ANSWER_DEADLINE, chassis.get_chassis(GetChassisRequest {})).await
}

/// What `show system switchover` says.
#[derive(Debug, Serialize)]
pub struct Switchover {
    /// GRES is configured.
    pub graceful_switchover: bool,
    /// NSR is configured.
    pub nonstop_routing: bool,
    /// Slot of the primary routing engine.
    pub master_slot: String,
    /// A backup routing engine runs now.
    pub backup_present: bool,
    /// It could take over now: every table equal, every session ready.
    pub ready: bool,
    /// State of the in-service machine.
    pub state: String,
    /// Tables compared.
    pub tables: Vec<TableComparison>,
    /// Sessions and the road each would take.
    pub sessions: Vec<SessionReadiness>,
}

pub(super) async fn switchover(context: &Context) -> CommandResult {
    let state = chassis(context).await?;
    let backup = |process: &ProcessState| process.role() == Role::Backup && process.slot != state.master_slot;
    let backup_present = state.processes.iter().any(backup);
    let mut view = Switchover {
        graceful_switchover: false,
        nonstop_routing: false,
        master_slot: state.master_slot.clone(),
        backup_present,
        ready: false,
        state: state.state.clone(),
        tables: Vec::new(),
        sessions: Vec::new(),
    };
    if let Some(committed) = context.state.configuration() {
        let compiled = committed.configuration.compile(committed.commit_id);
        view.graceful_switchover = compiled.chassis.is_some_and(|chassis| chassis.graceful_switchover);
        view.nonstop_routing = compiled.routing.is_some_and(|routing| routing.nonstop_routing);
    }
    // The backup is compared while a run is in progress; what an earlier run found says nothing about now.
    if backup_present && state.run_id != 0 {
        let mut client = context.state.clients.chassis();
        let request = GetRunRequest { run_id: state.run_id, ..Default::default() };
        let run = ask(CHASSISD, ANSWER_DEADLINE, client.get_run(request)).await?;
        let equal = !run.tables.is_empty() && run.tables.iter().all(|table| table.equal);
        view.ready = equal && run.readiness.iter().all(|session| session.ready);
        view.tables = run.tables;
        view.sessions = run.readiness;
    }
    context.print(&view, render::switchover).await?;
    Ok(Outcome::Done)
}

pub(super) async fn processes(context: &Context) -> CommandResult {
    #[derive(Serialize)]
    struct View {
        processes: Vec<ProcessState>,
    }
    let view = View { processes: chassis(context).await?.processes };
    context.print(&view, |view| render::processes(&view.processes)).await?;
    Ok(Outcome::Done)
}

/// What `show system uptime` says.
#[derive(Debug, Serialize)]
pub struct Uptime {
    /// Wall clock now.
    pub current_unix_ms: u64,
    /// When chassisd started.
    pub router_started_unix_ms: u64,
    /// When the configuration in force was committed.
    pub configured_unix_ms: u64,
    /// By whom.
    pub configured_by: String,
    /// The processes.
    pub processes: Vec<ProcessState>,
}

pub(super) async fn uptime(context: &Context) -> CommandResult {
    let state = chassis(context).await?;
    let committed = context.state.configuration();
    let view = Uptime {
        current_unix_ms: holdfast_ipc::unix_ms(),
        router_started_unix_ms: state.started_unix_ms,
        configured_unix_ms: committed.as_ref().map_or(0, |committed| committed.unix_ms),
        configured_by: committed.map_or_else(String::new, |committed| committed.user.clone()),
        processes: state.processes,
    };
    context.print(&view, render::uptime).await?;
    Ok(Outcome::Done)
}

/// What `show version` says.
#[derive(Debug, Serialize)]
pub struct Version {
    /// As configured.
    pub host_name: String,
    /// Of the chassis.
    pub version: String,
    /// Of each process.
    pub processes: Vec<ProcessVersion>,
}

/// One process's version.
#[derive(Debug, Serialize)]
pub struct ProcessVersion {
    /// "rpd"
    pub name: String,
    /// "re0"
    pub slot: String,
    /// What it says of itself.
    pub version: String,
}

pub(super) async fn version(context: &Context) -> CommandResult {
    let state = chassis(context).await?;
    let committed = context.state.configuration();
    let system = committed.and_then(|committed| committed.configuration.compile(0).system);
    let one =
        |process: ProcessState| ProcessVersion { name: process.name, slot: process.slot, version: process.version };
    let view = Version {
        host_name: system.unwrap_or_default().host_name,
        version: state.version,
        processes: state.processes.into_iter().map(one).collect(),
    };
    context.print(&view, render::version).await?;
    Ok(Outcome::Done)
}

pub(super) async fn alarms(context: &Context) -> CommandResult {
    #[derive(Serialize)]
    struct View {
        alarms: Vec<String>,
        active_alarms: Vec<Alarm>,
    }
    let state = chassis(context).await?;
    let view = View { alarms: state.alarms, active_alarms: state.active_alarms };
    context.print(&view, |view| render::alarms(&view.active_alarms)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn clear_alarms(context: &Context) -> CommandResult {
    let mut client = context.state.clients.chassis();
    let request = ClearAlarmsRequest { requested_by: context.user.clone() };
    let reply = ask(CHASSISD, ANSWER_DEADLINE, client.clear_alarms(request)).await?;
    context.print(&reply, |reply| format!("{} alarms cleared\n", reply.cleared)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn restart(context: &Context, name: &str) -> CommandResult {
    context.changes()?;
    let mut client = context.state.clients.chassis();
    let request = RestartProcessRequest { name: name.to_owned() };
    let reply = ask(CHASSISD, ANSWER_DEADLINE, client.restart_process(request)).await?;
    context.print(&reply, |reply| format!("{}\n", reply.outcome)).await?;
    Ok(Outcome::Done)
}

/// mgd cannot tell how its own end went: it says what it asks for, and asks once the client has read it.
pub(super) async fn restart_self(context: &Context) -> CommandResult {
    context.changes()?;
    chassis(context).await?;
    let (sender, mut client) = (context.sender.clone(), context.state.clients.chassis());
    tokio::spawn(async move {
        sender.closed().await;
        let request = RestartProcessRequest { name: crate::state::NAME.to_owned() };
        if let Err(error) = ask(CHASSISD, ANSWER_DEADLINE, client.restart_process(request)).await {
            tracing::error!("restart management: {error}");
        }
    });
    context.print(&serde_json::json!({ "outcome": "mgd restarts" }), |_| "mgd restarts\n".to_owned()).await?;
    Ok(Outcome::Done)
}
