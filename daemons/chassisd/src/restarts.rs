//! Sessions whose connection did not go over: what became of them, and whether that was the plan.
//!
//! A session that was planned to restart gracefully, did so and is complete again has lost nothing: both sides kept
//! their routes. Everything else that interrupts an established session is a loss, and is named.

use holdfast_proto::v1::{BgpNeighborDetail, GracefulRestart, SessionReadiness, SessionReport, SwitchoverMode};

/// How rpd calls the state of a session that is up.
pub const ESTABLISHED: &str = "Established";

/// Whether a session is on the way back, by graceful restart, and not done with it.
pub fn are_under_way<'a>(sessions: impl IntoIterator<Item = &'a BgpNeighborDetail>) -> bool {
    let mut restarts = sessions.into_iter().filter_map(|session| session.graceful_restart.as_ref());
    restarts.any(|restart| restart.state == "waiting")
}

/// Which road the session took in the end, in the report's words. `restart`: what rpd says of its graceful restart. `ended`: why its last
/// session ended.
pub fn describe(session: &mut SessionReport, restart: Option<&GracefulRestart>, ended: &str) {
    let was_up = session.state_before == ESTABLISHED;
    let taken = match restart {
        _ if !was_up => SwitchoverMode::Down,
        _ if session.unbroken => SwitchoverMode::Nsr,
        Some(_) => SwitchoverMode::Gr,
        None => SwitchoverMode::Lost,
    };
    session.taken = taken.into();
    if taken == SwitchoverMode::Lost {
        session.note = ended.to_owned();
    }
    let Some(restart) = restart.filter(|_| taken == SwitchoverMode::Gr) else { return };
    let so_far = match restart.state.as_str() {
        "complete" => format!("restarted gracefully in {} ms", restart.duration_ms),
        "waiting" => format!("restarting gracefully for {} ms, waiting for {}", restart.duration_ms, restart.waits_for),
        _ => "its graceful restart did not come to an end in time".to_owned(),
    };
    session.note = format!(
        "{so_far}: {} routes kept, {} of them swept ({})",
        restart.routes_kept, restart.routes_swept, restart.reason
    );
    session.restart_complete = restart.state == "complete";
}

/// What was lost with the session, in a sentence.
pub fn loss(session: &SessionReport) -> Option<String> {
    let (planned, taken) = (session.mode(), session.taken());
    if session.state_before != ESTABLISHED || session.unbroken || is_as_planned(session) {
        return None;
    }
    let of = format!("{} session with {}", session.protocol, session.neighbor);
    let why = if session.note.is_empty() { String::new() } else { format!(": {}", session.note) };
    Some(match (planned, taken) {
        // Planned, or before there was a plan: its rpd died early in the run.
        (SwitchoverMode::Gr | SwitchoverMode::Unspecified, SwitchoverMode::Gr) => format!("{of}: {}", session.note),
        (_, SwitchoverMode::Gr) => format!("{of} was to be carried over and was not: {}", session.note),
        (SwitchoverMode::Lost, _) => format!("{of} was interrupted, as announced ({} now){why}", session.state_after),
        _ => format!("{of} was interrupted ({} before, {} now){why}", session.state_before, session.state_after),
    })
}

/// It restarted gracefully, that was the plan, and it is complete again.
pub fn is_as_planned(session: &SessionReport) -> bool {
    let up = session.state_after == ESTABLISHED && session.restart_complete;
    up && session.mode() == SwitchoverMode::Gr && session.taken() == SwitchoverMode::Gr
}

/// Why a run that is not forced is refused: an established session would flap, and the neighbour give up our routes meanwhile.
/// One of many is one too many: an operator who wants it says so.
pub fn refusal(plan: &[SessionReadiness]) -> Option<String> {
    let lost: Vec<_> = plan.iter().filter(|session| session.mode() == SwitchoverMode::Lost).collect();
    let first = lost.first()?;
    let others = match lost.len() - 1 {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    Some(format!(
        "the {} session with {} would be lost{others}: {}; configure routing-options nonstop-routing, or graceful-restart on \
         both sides, or ask with force",
        first.protocol, first.neighbor, first.reason
    ))
}

/// "; 2 sessions restarted gracefully as planned", or nothing.
pub fn remark(sessions: &[SessionReport]) -> String {
    match sessions.iter().filter(|session| is_as_planned(session)).count() {
        0 => String::new(),
        1 => "; 1 session restarted gracefully as planned".to_owned(),
        count => format!("; {count} sessions restarted gracefully as planned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(planned: SwitchoverMode, unbroken: bool, restart: Option<GracefulRestart>) -> SessionReport {
        let mut session = SessionReport {
            protocol: "bgp".into(),
            neighbor: "192.0.2.1".into(),
            state_before: ESTABLISHED.into(),
            state_after: ESTABLISHED.into(),
            mode: planned.into(),
            unbroken,
            ..SessionReport::default()
        };
        describe(&mut session, restart.as_ref(), "NOTIFICATION received: Cease / Administrative Reset");
        session
    }

    fn restart(state: &str) -> Option<GracefulRestart> {
        let (reason, state) = ("it is configured so".into(), state.into());
        Some(GracefulRestart { reason, state, routes_kept: 7, routes_swept: 2, duration_ms: 80, ..Default::default() })
    }

    #[test]
    fn a_planned_restart_that_is_complete_is_no_loss_and_is_told() {
        let session = session(SwitchoverMode::Gr, false, restart("complete"));
        assert_eq!((loss(&session), session.taken()), (None, SwitchoverMode::Gr));
        assert!(session.note.contains("in 80 ms: 7 routes kept, 2 of them swept"), "{}", session.note);
        assert_eq!(remark(&[session.clone(), session]), "; 2 sessions restarted gracefully as planned");
    }

    #[test]
    fn only_a_restart_that_goes_on_is_waited_for() {
        let neighbor =
            |state: Option<&str>| BgpNeighborDetail { graceful_restart: state.and_then(restart), ..Default::default() };
        assert!(!are_under_way(&[neighbor(None), neighbor(Some("complete")), neighbor(Some("expired"))]));
        assert!(are_under_way(&[neighbor(None), neighbor(Some("waiting"))]));
    }

    #[test]
    fn everything_else_that_interrupts_a_session_is_a_loss() {
        let early = loss(&session(SwitchoverMode::Unspecified, false, restart("waiting"))).unwrap();
        assert!(!early.contains("was to be carried over"), "nobody had said so: {early}");
        let unplanned = session(SwitchoverMode::Nsr, false, restart("complete"));
        assert!(loss(&unplanned).unwrap().contains("was to be carried over"));
        assert!(
            loss(&session(SwitchoverMode::Gr, false, restart("expired"))).unwrap().contains("did not come to an end")
        );
        assert!(loss(&session(SwitchoverMode::Gr, false, restart("waiting"))).is_some());
        assert!(loss(&session(SwitchoverMode::Gr, false, None)).is_some(), "it flapped");
        assert!(loss(&session(SwitchoverMode::Lost, false, None)).unwrap().contains("as announced"));
        let ended = loss(&session(SwitchoverMode::Nsr, false, None)).unwrap();
        assert!(
            ended.ends_with(
                "(Established before, Established now): NOTIFICATION received: Cease / Administrative Reset"
            )
        );
        let mut down = session(SwitchoverMode::Gr, false, restart("complete"));
        down.state_after = "Active".into();
        assert!(loss(&down).is_some(), "it went down again");
        assert_eq!(remark(&[unplanned, down]), "");
    }

    #[test]
    fn a_session_that_would_be_lost_refuses_the_run() {
        let plan = |mode: SwitchoverMode| SessionReadiness {
            protocol: "bgp".into(),
            neighbor: "192.0.2.1".into(),
            mode: mode.into(),
            reason: "why".into(),
            ..SessionReadiness::default()
        };
        let fine = [SwitchoverMode::Nsr, SwitchoverMode::Gr, SwitchoverMode::Down].map(plan);
        assert_eq!(refusal(&fine), None);
        let reason =
            refusal(&[plan(SwitchoverMode::Lost), plan(SwitchoverMode::Nsr), plan(SwitchoverMode::Lost)]).unwrap();
        assert!(reason.contains("192.0.2.1 would be lost (and 1 more): why") && reason.contains("force"), "{reason}");
    }

    #[test]
    fn an_unbroken_session_lost_nothing_and_one_that_was_down_had_nothing() {
        let unbroken = session(SwitchoverMode::Nsr, true, None);
        assert_eq!((loss(&unbroken), unbroken.taken()), (None, SwitchoverMode::Nsr));
        let mut down = unbroken;
        (down.state_before, down.unbroken) = ("Idle".into(), false);
        describe(&mut down, None, "");
        assert_eq!((loss(&down), down.taken()), (None, SwitchoverMode::Down));
    }
}
