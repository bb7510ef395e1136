//! Asks for the state at one moment.

use std::time::Instant;

use holdfast_proto::v1;

use super::{Baseline, Silence, SilenceWatch};
use crate::calls::{Link, answer};
use crate::journal::Journal;
use crate::limits::{
    EVIDENCE_CALL_DEADLINE, EVIDENCE_LATE_MIN, EVIDENCE_TRIES_MAX, RESTARTS_ASKED_INTERVAL, RESTARTS_AWAITED_MAX,
};
use crate::readiness;
use crate::restarts;

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

/// What the daemons said, or why they did not.
struct Answers {
    sessions: Result<v1::BgpNeighbors, String>,
    routes: Result<v1::RouteSummary, String>,
    interfaces: Result<v1::Interfaces, String>,
    forwarding: Result<v1::ForwardingSummary, String>,
    configuration: Result<v1::GetConfigurationReply, String>,
}

impl Answers {
    /// Asks all at once.
    async fn ask(mgd: Option<&Link>, rpd: Option<&Link>, pfed: Option<&Link>) -> Self {
        let gone = || "the process does not run".to_string();
        let sessions = async {
            let mut client = rpd.ok_or_else(gone)?.routing();
            answer(EVIDENCE_CALL_DEADLINE, client.show_bgp_neighbors(v1::ShowBgpNeighborsRequest::default())).await
        };
        let routes = async {
            let mut client = rpd.ok_or_else(gone)?.routing();
            answer(EVIDENCE_CALL_DEADLINE, client.show_route_summary(v1::ShowRouteSummaryRequest {})).await
        };
        let interfaces = async {
            let mut client = pfed.ok_or_else(gone)?.forwarding();
            answer(EVIDENCE_CALL_DEADLINE, client.show_interfaces(v1::ShowInterfacesRequest::default())).await
        };
        let forwarding = async {
            let mut client = pfed.ok_or_else(gone)?.forwarding();
            answer(EVIDENCE_CALL_DEADLINE, client.show_forwarding_summary(v1::ShowForwardingSummaryRequest {})).await
        };
        let configuration = async {
            let mut client = mgd.ok_or_else(gone)?.management();
            answer(EVIDENCE_CALL_DEADLINE, client.get_configuration(v1::GetConfigurationRequest {})).await
        };
        let (sessions, routes, interfaces, forwarding, configuration) =
            tokio::join!(sessions, routes, interfaces, forwarding, configuration);
        Answers { sessions, routes, interfaces, forwarding, configuration }
    }

    /// The same, and again when it was chassisd that stood still for so long: then nobody's silence proves anything.
    async fn gather(mgd: Option<&Link>, rpd: Option<&Link>, pfed: Option<&Link>) -> Self {
        for _ in 1..EVIDENCE_TRIES_MAX {
            let started = Instant::now();
            let answers = Self::ask(mgd, rpd, pfed).await;
            if answers.missing().is_empty() || started.elapsed() < EVIDENCE_CALL_DEADLINE + EVIDENCE_LATE_MIN {
                return answers;
            }
            tracing::warn!("evidence is asked for again: {:?} passed meanwhile", started.elapsed());
        }
        Self::ask(mgd, rpd, pfed).await
    }

    /// The same once graceful restarts are over, or have had their time: a report is to name their end. An rpd that died early in a run has
    /// its successor only milliseconds before the run's evidence is collected.
    async fn gather_at_rest(mgd: Option<&Link>, rpd: Option<&Link>, pfed: Option<&Link>) -> Self {
        let until = Instant::now() + RESTARTS_AWAITED_MAX;
        loop {
            let answers = Self::gather(mgd, rpd, pfed).await;
            let sessions = answers.sessions.iter().flat_map(|reply| &reply.neighbors);
            if !restarts::are_under_way(sessions) || Instant::now() >= until {
                return answers;
            }
            tokio::time::sleep(RESTARTS_ASKED_INTERVAL).await;
        }
    }

    /// What did not come.
    fn missing(&self) -> Vec<String> {
        [
            ("sessions of rpd", self.sessions.as_ref().err()),
            ("route counts of rpd", self.routes.as_ref().err()),
            ("interface counters of pfed", self.interfaces.as_ref().err()),
            ("forwarding counters of pfed", self.forwarding.as_ref().err()),
            ("configuration of mgd", self.configuration.as_ref().err()),
        ]
        .into_iter()
        .filter_map(|(what, error)| Some(format!("{what} ({})", error?)))
        .collect()
    }
}

/// Asks the daemons of one slot, all at once.
pub async fn collect(sources: Sources) -> Baseline {
    let Sources { mgd, rpd, pfed, silence, silences: earlier, journal } = sources;
    let begins = journal.is_some();
    let asked = async {
        match begins {
            true => Answers::gather(mgd.as_ref(), rpd.as_ref(), pfed.as_ref()).await,
            false => Answers::gather_at_rest(mgd.as_ref(), rpd.as_ref(), pfed.as_ref()).await,
        }
    };
    let local = tokio::task::spawn_blocking(move || {
        let past = journal.map(|journal| readiness::past_runs(&journal)).unwrap_or_default();
        (silence.map(SilenceWatch::finish), past)
    });
    let (answers, local) = tokio::join!(asked, local);
    let missing = answers.missing();
    let (silences, past) = local.unwrap_or_default();
    Baseline {
        sessions: answers.sessions.ok().map(|reply| reply.neighbors),
        routes: answers.routes.ok(),
        interfaces: answers.interfaces.ok().map(|reply| reply.interfaces),
        forwarding: answers.forwarding.ok(),
        configuration: answers
            .configuration
            .ok()
            .map(|reply| v1::GetConfigurationReply { text: String::new(), ..reply }),
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
