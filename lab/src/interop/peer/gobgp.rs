//! GoBGP, told and asked by its own command over a socket in its folder.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    net::IpAddr,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{ESTABLISHED, Peer, PeerPlan, Session, changes, community, join, json, read_log, strings};
use crate::{
    error::{Doing, Result},
    host::{
        interrupt,
        process::{self, Guarded},
        programs,
    },
    interop::{
        features::Feature,
        offer::{Family, Offer, Origin},
        place::link_session,
        seen::{self, Seen, Table},
    },
    limits,
    neighbor::count_lines,
    topology::TO_ROUTER,
};

/// What its JSON calls a session that is up.
const STATE_ESTABLISHED: u64 = 6;

/// When it has come back it waits so long, at most, for everybody's routes before it tells its own, s.
const DEFERRAL_TIME_S: u16 = 10;

/// A running GoBGP.
pub(super) struct Gobgp {
    plan: PeerPlan,
    child: Guarded,
    version: String,
    offered: Vec<Offer>,
}

impl Gobgp {
    pub(super) fn start(plan: PeerPlan) -> Result<Self> {
        let version = process::run(Command::new(programs::GOBGPD.find()?).arg("--version"))?;
        let version = version.split_whitespace().last().unwrap_or("unknown").to_owned();
        Ok(Self { child: spawn(&plan, false)?, plan, version, offered: Vec::new() })
    }

    fn command(&self, line: &str) -> Result<String> {
        let mut command = Command::new(programs::GOBGP.find()?);
        command.args(["--target", &socket(&self.plan)]).args(line.split(' '));
        process::run(&mut command)
    }

    fn withdraw(&self, offer: &Offer) -> Result<()> {
        for family in Family::ALL {
            let prefix = offer.prefix(family, self.plan.index);
            self.command(&format!("global rib del {prefix}{} -a {}", identifier(offer), family.pick("ipv4", "ipv6")))?;
        }
        Ok(())
    }

    fn announce(&self, offer: &Offer) -> Result<()> {
        for session in &self.plan.sessions {
            let family = session.family;
            let prefix = offer.prefix(family, self.plan.index);
            let ip = family.pick("ipv4", "ipv6");
            let (id, origin, local) = (identifier(offer), offer.origin.word(), own_next_hop(&self.plan, session));
            let line = format!("global rib add {prefix}{id} -a {ip} origin {origin} nexthop {local}");
            let mut command = Command::new(programs::GOBGP.find()?);
            command.args(["--target", &socket(&self.plan)]).args(line.split(' '));
            // A path is one word, blanks and all.
            for (name, value) in attributes(offer) {
                command.args([name, value.as_str()]);
            }
            process::run(&mut command)?;
        }
        Ok(())
    }
}

/// `recovers`: it restarts gracefully.
fn spawn(plan: &PeerPlan, recovers: bool) -> Result<Guarded> {
    let (file, words) = (plan.folder.join("gobgpd.toml"), plan.folder.join("gobgpd.log"));
    std::fs::write(&file, text(plan)).doing(|| format!("write {}", file.display()))?;
    let said = OpenOptions::new().create(true).append(true).open(&words);
    let said = said.doing(|| format!("open {}", words.display()))?;
    let mut command = Command::new(programs::GOBGPD.find()?);
    command.arg("-f").arg(&file).args(["--api-hosts", &socket(plan), "--pprof-disable"]);
    if recovers {
        command.arg("-r");
        // One that was killed leaves it behind.
        let _ = std::fs::remove_file(plan.folder.join("gobgp.sock"));
    }
    command.stdin(Stdio::null()).stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
    Ok(Guarded::new("gobgpd", plan.namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(words))
}

fn socket(plan: &PeerPlan) -> String {
    format!("unix://{}", plan.folder.join("gobgp.sock").display())
}

fn text(plan: &PeerPlan) -> String {
    let mut text =
        format!("[global.config]\n  as = {}\n  router-id = \"{}\"\n", plan.autonomous_system, plan.router_id());
    for session in &plan.sessions {
        let _ = write!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{router}\"\n    peer-as = {router_as}\n{key}  [neighbors.transport.config]\n    local-address = \"{local}\"\n  [neighbors.timers.config]\n    hold-time = {hold}.0\n    keepalive-interval = {keepalive}.0\n    connect-retry = 1.0\n    idle-hold-time-after-reset = 1.0\n",
            router = scoped(session.router),
            router_as = plan.router_as,
            key =
                if plan.has(Feature::Key) { format!("    auth-password = \"{}\"\n", plan.key) } else { String::new() },
            local = scoped(session.local),
            hold = plan.hold_time_s,
            keepalive = plan.hold_time_s / 3,
        );
        if let Some(graceful) = plan.wishes.graceful {
            let _ = writeln!(
                text,
                "  [neighbors.graceful-restart.config]\n    enabled = true\n    restart-time = {}\n    deferral-time = {DEFERRAL_TIME_S}\n    long-lived-enabled = {}\n    notification-enabled = {}",
                graceful.restart_time_s,
                graceful.stale_time_s.is_some(),
                plan.has(Feature::GracefulRestart)
            );
        }
        if let Some(hops) = plan.multihop.filter(|_| !plan.is_internal()) {
            let _ = writeln!(text, "  [neighbors.ebgp-multihop.config]\n    enabled = true\n    multihop-ttl = {hops}");
        }
        text.push_str(&features(plan));
        let _ = write!(
            text,
            "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{}-unicast\"\n",
            session.family.pick("ipv4", "ipv6")
        );
        if let Some(graceful) = plan.wishes.graceful {
            text.push_str("    [neighbors.afi-safis.mp-graceful-restart.config]\n      enabled = true\n");
            if let Some(stale_time_s) = graceful.stale_time_s {
                let _ = writeln!(
                    text,
                    "    [neighbors.afi-safis.long-lived-graceful-restart.config]\n      enabled = true\n      restart-time = {stale_time_s}"
                );
            }
        }
        if plan.wishes.add_paths {
            text.push_str("    [neighbors.afi-safis.add-paths.config]\n      receive = true\n      send-max = 8\n");
        }
    }
    text
}

fn features(plan: &PeerPlan) -> String {
    let lines = |feature: &Feature| match feature {
        Feature::Near => Some("  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n"),
        _ => None,
    };
    plan.features.iter().filter_map(lines).collect()
}

/// An address as it takes it.
fn scoped(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => format!("{v6}%{TO_ROUTER}"),
        address => address.to_string(),
    }
}

/// A link-local address is none for the router's other neighbours.
fn own_next_hop(plan: &PeerPlan, session: &Session) -> IpAddr {
    if session.is_link_local() { link_session(Family::Inet6, plan.index).local } else { session.local }
}

/// Of one of several paths (RFC 7911); it is not the one that the path is sent under.
fn identifier(offer: &Offer) -> String {
    offer.path_id.map(|id| format!(" identifier {id}")).unwrap_or_default()
}

fn attributes(offer: &Offer) -> Vec<(&'static str, String)> {
    let set = if offer.set.is_empty() { String::new() } else { format!(" {{{}}}", join(&offer.set, " ")) };
    let list = [
        ("aspath", join(&offer.path, " ") + &set),
        ("med", offer.med.map(|med| med.to_string()).unwrap_or_default()),
        ("community", offer.communities.iter().map(|c| community(*c)).collect::<Vec<_>>().join(",")),
        ("large-community", offer.large.iter().map(|l| join(l, ":")).collect::<Vec<_>>().join(",")),
    ];
    let mut list: Vec<_> = list.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    list.extend(offer.targets.iter().map(|(a, b)| ("rt", format!("{a}:{b}"))));
    list
}

impl Peer for Gobgp {
    fn version(&self) -> &str {
        &self.version
    }

    fn state(&self, session: &Session) -> Result<String> {
        let answer = json(&self.command(&format!("neighbor {} -j", scoped(session.router)))?)?;
        let state = crate::subject::cli::find(&answer, "session_state").and_then(Value::as_u64);
        Ok(if state == Some(STATE_ESTABLISHED) { ESTABLISHED.into() } else { format!("{state:?}") })
    }

    fn times_down(&self) -> Result<u64> {
        count_lines(&self.plan.folder.join("gobgpd.log"), |line| line.contains("\"Peer Down\""))
    }

    fn offer(&mut self, offers: &[Offer]) -> Result<()> {
        let (gone, new) = changes(&self.offered, offers);
        gone.into_iter().try_for_each(|gone| self.withdraw(gone))?;
        new.into_iter().try_for_each(|new| self.announce(new))?;
        self.offered = offers.to_vec();
        Ok(())
    }

    fn table(&self, session: &Session) -> Result<Table> {
        let ip = session.family.pick("ipv4", "ipv6");
        let text = self.command(&format!("neighbor {} adj-in -a {ip} -j", scoped(session.router)))?;
        let mut paths = Vec::new();
        let answer = json(&text)?;
        crate::subject::cli::objects_with(&answer, "nlri", &mut paths);
        let prefix = |path: &Value| path.pointer("/nlri/prefix").and_then(Value::as_str).map(str::to_owned);
        // It does not say identifiers of paths. That one is told anew under another identifier shows in its time.
        let arrived = |path: &Value| path.get("age").map(Value::to_string).unwrap_or_default();
        Ok(super::keyed(paths.into_iter().filter_map(|path| Some((prefix(path)?, arrived(path), read(path))))))
    }

    fn ask_again(&self) -> Result<()> {
        let ask =
            |session: &Session| self.command(&format!("neighbor {} softresetin", scoped(session.router))).map(drop);
        self.plan.sessions.iter().try_for_each(ask)
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn times_limited(&self) -> Result<u64> {
        count_lines(&self.plan.folder.join("gobgpd.log"), |line| {
            line.contains("\"received notification\"")
                && line.contains("\"Code\":6,")
                && line.contains("\"Subcode\":1,")
        })
    }

    fn die(&mut self) {
        super::kill(&mut self.child);
    }

    fn come_back(&mut self, offers: &[Offer]) -> Result<()> {
        self.child = spawn(&self.plan, true)?;
        interrupt::wait_for("GoBGP to answer", limits::SESSIONS_UP_WITHIN, || Ok(self.command("global").map(drop)?))?;
        self.offered.clear();
        self.offer(offers)
    }

    fn view(&self, session: &Session) -> Result<String> {
        self.command(&format!("neighbor {}", scoped(session.router)))
    }

    /// It reads its file again on a signal.
    fn set_key(&mut self, key: &'static str) -> Result<()> {
        self.plan.key = key;
        let file = self.plan.folder.join("gobgpd.toml");
        std::fs::write(&file, text(&self.plan)).doing(|| format!("write {}", file.display()))?;
        process::signal(self.child.pid(), Signal::SIGHUP);
        Ok(())
    }

    fn log(&self) -> Result<String> {
        read_log(&self.plan.folder.join("gobgpd.log"))
    }

    fn shut_down(&mut self, session: &Session, words: &str) -> Result<()> {
        let mut command = Command::new(programs::GOBGP.find()?);
        command.args([
            "--target",
            &socket(&self.plan),
            "neighbor",
            &scoped(session.router),
            "disable",
            "--reason",
            words,
        ]);
        process::run(&mut command).map(drop)
    }

    fn open_again(&mut self, session: &Session) -> Result<()> {
        self.command(&format!("neighbor {} enable", scoped(session.router))).map(drop)
    }
}

/// `{"nlri": ..., "attrs": [{"type": 1, "value": 0}, ...]}`, by the attributes' type codes.
fn read(path: &Value) -> Seen {
    let mut seen = Seen::default();
    for attribute in path.get("attrs").and_then(Value::as_array).into_iter().flatten() {
        let number = |name: &str| seen::number(attribute.get(name));
        let text = |name: &str| attribute.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |name: &str| attribute.get(name).and_then(Value::as_array).into_iter().flatten();
        match attribute.get("type").and_then(Value::as_u64) {
            Some(1) => seen.origin = Origin::read(&number("value").unwrap_or(0).to_string()).unwrap_or_default(),
            Some(2) => seen.path = seen::path(&list("as_paths").map(segment).collect::<Vec<_>>().join(" ")),
            Some(3 | 14) => seen.next_hop = text("nexthop"),
            Some(4) => seen.med = number("metric"),
            Some(5) => seen.local_preference = number("value"),
            Some(6) => seen.atomic = true,
            Some(7) => seen.aggregator = number("as").map(|number| format!("{number} {}", text("address"))),
            Some(9) => seen.originator = Some(text("value")),
            Some(10) => seen.clusters = strings(attribute.get("value")).join(" "),
            Some(8) => seen.communities = list("communities").filter_map(|c| seen::number(Some(c))).collect(),
            Some(16) => seen.targets = list("value").filter_map(target).collect(),
            Some(32) => seen.large = list("value").filter_map(large).collect(),
            _ => {}
        }
    }
    seen.ordered()
}

fn segment(value: &Value) -> String {
    const AS_SET: u64 = 1;
    let numbers: Vec<String> =
        value.get("asns").and_then(Value::as_array).into_iter().flatten().map(Value::to_string).collect();
    let numbers = numbers.join(" ");
    if value.get("segment_type").and_then(Value::as_u64) == Some(AS_SET) { format!("{{{numbers}}}") } else { numbers }
}

fn target(value: &Value) -> Option<String> {
    const ROUTE_TARGET: u64 = 2;
    let is_one = value.get("subtype").and_then(Value::as_u64) == Some(ROUTE_TARGET);
    value.get("value").and_then(Value::as_str).filter(|_| is_one).map(str::to_owned)
}

fn large(value: &Value) -> Option<[u32; 3]> {
    let word = |name: &str| seen::number(value.get(name));
    Some([word("ASN")?, word("LocalData1")?, word("LocalData2")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_read() {
        let path = serde_json::json!({"nlri": {"prefix": "172.18.9.0/24"}, "attrs": [
            {"type": 1, "value": 1},
            {"type": 2, "as_paths": [{"segment_type": 2, "num": 1, "asns": [64512]}, {"segment_type": 1, "num": 2, "asns": [7, 5]}]},
            {"type": 3, "nexthop": "10.0.0.1"}, {"type": 4, "metric": 4294967295u32}, {"type": 8, "communities": [4259840001u32]},
            {"type": 16, "value": [{"type": 0, "subtype": 2, "value": "65000:100"}, {"type": 0, "subtype": 3, "value": "1:1"}]},
            {"type": 32, "value": [{"ASN": 1, "LocalData1": 2, "LocalData2": 3}]}]});
        let seen = read(&path);
        assert_eq!((seen.origin, seen.path.as_str(), seen.med), (Origin::Egp, "64512 {5 7}", Some(u32::MAX)));
        assert_eq!(
            (seen.communities, seen.large, seen.targets),
            (vec![0xfde8_0001], vec![[1, 2, 3]], vec!["65000:100".to_owned()])
        );
    }
}
