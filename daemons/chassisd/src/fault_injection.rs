//! A test aid: `HOLDFAST_PAUSE_BEFORE` makes chassisd hold a run before a request of its own, so that a test can disturb the
//! router at that very point from outside. Off unless the variable is set; docs/test-aids.md lists the points.
//!
//! `POINT:MS` holds every run there for MS milliseconds. `@FILE` asks the file before every request: when it says
//! `POINT:MS` and the request is that point, chassisd renames it to `FILE.reached` and asks nothing more until that is gone,
//! at the latest after MS: once per file, released by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_issu::{Daemon, Request, RequestId, Side, State};

use crate::chassis::{Chassis, News};

/// Between two looks whether a held run has been released.
const RELEASE_POLL: Duration = Duration::from_millis(1);

/// What the variable asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Aid {
    /// Nothing: it is not set.
    #[default]
    Off,
    /// Every run is held at one point.
    Always(Pause),
    /// A file says where, run by run.
    File(PathBuf),
}

/// Where, and for how long at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    point: String,
    at_most: Duration,
}

/// A request that waits.
struct Hold {
    at_most: Duration,
    until_gone: Option<PathBuf>,
}

impl Aid {
    /// Read once at the start; says in the log that it is there.
    pub fn from_environment() -> Self {
        let value = std::env::var("HOLDFAST_PAUSE_BEFORE").unwrap_or_default();
        if value.is_empty() {
            return Aid::Off;
        }
        let aid = match value.strip_prefix('@') {
            Some(file) => Some(Aid::File(file.into())),
            None => parse(&value).map(Aid::Always),
        };
        match aid {
            Some(_) => tracing::warn!(value, "HOLDFAST_PAUSE_BEFORE is set: a test aid, it holds runs"),
            None => tracing::warn!(value, "HOLDFAST_PAUSE_BEFORE is not understood; it is POINT:MS or @FILE"),
        }
        aid.unwrap_or_default()
    }

    fn hold(&self, request: &Request) -> Option<Hold> {
        match self {
            Aid::Off => None,
            Aid::Always(pause) => {
                (pause.point == point(request)?).then_some(Hold { at_most: pause.at_most, until_gone: None })
            }
            Aid::File(file) => {
                let pause = parse(fs::read_to_string(file).ok()?.trim())?;
                if pause.point != point(request)? {
                    return None;
                }
                let reached = reached(file);
                fs::rename(file, &reached).ok()?;
                Some(Hold { at_most: pause.at_most, until_gone: Some(reached) })
            }
        }
    }
}

impl Hold {
    async fn over(self) {
        let end = tokio::time::Instant::now() + self.at_most;
        let Some(file) = self.until_gone else { return tokio::time::sleep_until(end).await };
        while file.exists() && tokio::time::Instant::now() < end {
            tokio::time::sleep(RELEASE_POLL).await;
        }
        let _ = fs::remove_file(file); // nobody came: the run must not stand for ever
    }
}

fn reached(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".reached");
    name.into()
}

fn parse(value: &str) -> Option<Pause> {
    let (point, ms) = value.split_once(':')?;
    let at_most = Duration::from_millis(ms.parse().ok()?);
    (!point.is_empty()).then(|| Pause { point: point.into(), at_most })
}

/// The name under which a request can be held; a state's record, which opens the state, has the state's.
fn point(request: &Request) -> Option<String> {
    let of = |act: &str, daemon: Daemon| Some(format!("{act}-{daemon}"));
    match request {
        Request::Record { state: State::Switching, committed: true } => Some("committed".into()),
        Request::Record { state, .. } => Some(state.name().into()),
        Request::Spawn { daemons } => of("spawn", *daemons.first()?),
        Request::Freeze { side: Side::Old, daemon } => of("freeze", *daemon),
        Request::Fence { side: Side::Old } => Some("fence".into()),
        Request::Activate { side: Side::New, daemon: Daemon::Rpd, .. } => Some("activate".into()),
        Request::Activate { side: Side::New, daemon, .. } => of("activate", *daemon),
        Request::Commit { side: Side::New, daemon, .. } => of("commit", *daemon),
        Request::Flip { side: Side::New } => Some("flip".into()),
        Request::Verify { side: Side::New, daemon } => of("verify", *daemon),
        Request::Retire => Some("retire".into()),
        _ => None,
    }
}

impl Chassis {
    /// Whether the run stands before this request. Then nothing more is asked of anyone until it goes on, in the order in
    /// which it was decided; deaths, answers and aborts are taken note of meanwhile.
    pub fn stands_before(&mut self, id: RequestId, request: &Request) -> bool {
        let Some(hold) = self.aid.hold(request) else { return false };
        tracing::warn!(?request, "held by HOLDFAST_PAUSE_BEFORE");
        self.standing = Some((id, request.clone()));
        let news = self.news.clone();
        tokio::spawn(async move {
            hold.over().await;
            let _ = news.send(News::Released).await;
        });
        true
    }

    /// The run goes on.
    pub fn released(&mut self) {
        if let Some((id, request)) = self.standing.take() {
            self.ask(id, request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RPD: Daemon = Daemon::Rpd;

    #[test]
    fn only_its_own_form_is_understood() {
        let pause = |point: &str, ms| Some(Pause { point: point.into(), at_most: Duration::from_millis(ms) });
        assert_eq!(parse("activate:250"), pause("activate", 250));
        assert_eq!(parse("ready-for-switchover:5"), pause("ready-for-switchover", 5));
        for wrong in ["", "activate", "activate:", "activate:-1", ":5"] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn a_state_is_held_at_its_record_and_the_commit_point_has_a_name_on_each_side() {
        let record = |state, committed| Request::Record { state, committed };
        assert_eq!(point(&record(State::Synchronizing, false)).as_deref(), Some("synchronizing"));
        assert_eq!(point(&record(State::Switching, false)).as_deref(), Some("switching"));
        assert_eq!(point(&record(State::Switching, true)).as_deref(), Some("committed"));
        let commit = |side| Request::Commit { side, daemon: RPD, epoch: 1 };
        assert_eq!(point(&commit(Side::New)).as_deref(), Some("commit-rpd"));
        assert_eq!(point(&commit(Side::Old)), None, "the way back is never held");
    }

    #[tokio::test]
    async fn a_file_holds_one_run_once_until_it_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        let aid = Aid::File(file.clone());
        let freeze = Request::Freeze { side: Side::Old, daemon: RPD };
        assert!(aid.hold(&freeze).is_none(), "no file, no hold");
        fs::write(&file, "freeze-rpd:60000\n").unwrap();
        assert!(aid.hold(&Request::Fence { side: Side::Old }).is_none() && file.exists(), "another point");
        let hold = aid.hold(&freeze).expect("held");
        assert!(!file.exists() && reached(&file).exists());
        fs::remove_file(reached(&file)).unwrap();
        tokio::time::timeout(Duration::from_secs(30), hold.over()).await.expect("released");
        assert!(aid.hold(&freeze).is_none(), "once");
    }
}
