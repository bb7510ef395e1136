//! Asks for the state at one moment.

use holdfast_proto::v1;

use super::{Baseline, Silence, SilenceWatch};
use crate::calls::{Link, answer};
use crate::journal::Journal;
use crate::limits::EVIDENCE_CALL_DEADLINE;
use crate::readiness;

/// Who is asked; `None` where the process does not run.
#[derive(Debug, Default)]
pub struct Sources {
    /// Of the slot that is primary.
    pub mgd: Option<Link>,
    /// Of the slot that is primary.
    pub rpd: Option<Link>,
    /// Of the slot that is primary.
    pub pfed: Option<Link>,
    /// To be ended, when it was begun.
    pub silence: Option<SilenceWatch>,
    /// What an earlier watch of the same run found.
    pub silences: Vec<Silence>,
    /// Read for the forecast, before a run.
    pub journal: Option<Journal>,
}

/// Asks the daemons of one slot, all at once.
pub async fn collect(sources: Sources) -> Baseline {
    let Sources { mgd, rpd, pfed, silence, silences: earlier, journal } = sources;
    let gone = || "the process does not run".to_string();
    let sessions = async {
        let mut client = rpd.as_ref().ok_or_else(gone)?.routing();
        answer(EVIDENCE_CALL_DEADLINE, client.show_bgp_neighbors(v1::ShowBgpNeighborsRequest::default())).await
    };
    let routes = async {
        let mut client = rpd.as_ref().ok_or_else(gone)?.routing();
        answer(EVIDENCE_CALL_DEADLINE, client.show_route_summary(v1::ShowRouteSummaryRequest {})).await
    };
    let interfaces = async {
        let mut client = pfed.as_ref().ok_or_else(gone)?.forwarding();
        answer(EVIDENCE_CALL_DEADLINE, client.show_interfaces(v1::ShowInterfacesRequest::default())).await
    };
    let forwarding = async {
        let mut client = pfed.as_ref().ok_or_else(gone)?.forwarding();
        answer(EVIDENCE_CALL_DEADLINE, client.show_forwarding_summary(v1::ShowForwardingSummaryRequest {})).await
    };
    let configuration = async {
        let mut client = mgd.as_ref().ok_or_else(gone)?.management();
        answer(EVIDENCE_CALL_DEADLINE, client.get_configuration(v1::GetConfigurationRequest {})).await
    };
    let local = tokio::task::spawn_blocking(move || {
        let past = journal.map(|journal| readiness::past_runs(&journal)).unwrap_or_default();
        (silence.map(SilenceWatch::finish), past)
    });
    let (sessions, routes, interfaces, forwarding, configuration, local) =
        tokio::join!(sessions, routes, interfaces, forwarding, configuration, local);
    let mut missing = Vec::new();
    let mut note = |what: &str, error: &String| missing.push(format!("{what} ({error})"));
    sessions.as_ref().err().inspect(|error| note("sessions of rpd", error));
    routes.as_ref().err().inspect(|error| note("route counts of rpd", error));
    interfaces.as_ref().err().inspect(|error| note("interface counters of pfed", error));
    forwarding.as_ref().err().inspect(|error| note("forwarding counters of pfed", error));
    configuration.as_ref().err().inspect(|error| note("configuration of mgd", error));
    let (silences, past) = local.unwrap_or_default();
    Baseline {
        sessions: sessions.ok().map(|reply| reply.neighbors),
        routes: routes.ok(),
        interfaces: interfaces.ok().map(|reply| reply.interfaces),
        forwarding: forwarding.ok(),
        configuration: configuration.ok().map(|reply| v1::GetConfigurationReply { text: String::new(), ..reply }),
        silences: longest(earlier, silences.unwrap_or_default()),
        past,
        missing,
    }
}

/// Of each session the longer one.
fn longest(mut silences: Vec<Silence>, later: Vec<Silence>) -> Vec<Silence> {
    for silence in later {
        match silences.iter_mut().find(|known| known.name == silence.name) {
            Some(known) => {
                known.out_ms = known.out_ms.max(silence.out_ms);
                known.in_ms = known.in_ms.max(silence.in_ms);
            }
            None => silences.push(silence),
        }
    }
    silences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_watches_the_longer_silence_counts() {
        let silence = |name: &str, out_ms, in_ms| Silence { name: name.into(), out_ms, in_ms };
        let merged = longest(vec![silence("a", 5, 90)], vec![silence("a", 70, 6), silence("b", 1, 2)]);
        assert_eq!(merged, [silence("a", 70, 90), silence("b", 1, 2)]);
    }
}
