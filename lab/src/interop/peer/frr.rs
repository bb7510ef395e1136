//! FRRouting's bgpd, without zebra. What it announces goes through a route map towards the router, where every attribute is set.

use std::{fmt::Write as _, net::IpAddr};

use serde_json::Value;

use super::{Peer, PeerPlan, Session, changes, community, join, json, read_log, strings};
use crate::{
    error::{LabError, Result},
    host::{cleanup, process::Guarded, programs},
    interop::{
        features::Feature,
        offer::{Family, Offer, Origin},
        scenario::Kind,
        seen::{self, Seen, Table},
    },
    neighbor::{count_lines, frr as bgpd},
};

/// A running bgpd.
pub(super) struct Frr {
    plan: PeerPlan,
    child: Guarded,
    version: String,
    offered: Vec<Offer>,
}

impl Frr {
    pub(super) fn start(plan: PeerPlan) -> Result<Self> {
        let child = bgpd::spawn(&plan.namespace, &plan.folder, &text(&plan))?;
        Ok(Self { version: bgpd::version(&programs::BGPD.find()?)?, child, offered: Vec::new(), plan })
    }

    fn console(&self, lines: &[&str]) -> Result<String> {
        bgpd::console(&self.plan.folder, lines)
    }

    fn configure_bgp(&self, lines: &str) -> Result<()> {
        self.configure(&format!("router bgp {}\n{lines}", self.plan.autonomous_system))
    }

    fn configure(&self, lines: &str) -> Result<()> {
        let lines: Vec<&str> = std::iter::once("configure terminal").chain(lines.lines()).collect();
        self.console(&lines).map(drop)
    }
}

fn text(plan: &PeerPlan) -> String {
    let mut text = format!(
        "hostname {name}
log file {log} informational
log timestamp precision 6
!
router bgp {own_as}
 bgp router-id {id}
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
{graceful}",
        name = plan.maker.name(),
        log = plan.folder.join("bgpd.log").display(),
        own_as = plan.autonomous_system,
        id = plan.router_id(),
        graceful = graceful(plan),
    );
    for session in &plan.sessions {
        let router = session.router;
        let _ = write!(
            text,
            " neighbor {router} remote-as {}
 neighbor {router} timers {} {}
 neighbor {router} timers connect 1
 neighbor {router} advertisement-interval 0
",
            plan.router_as,
            plan.hold_time_s / 3,
            plan.hold_time_s,
        );
        // Several of its addresses lead there.
        if plan.multihop.is_some() || plan.kind == Kind::Inet6 {
            let _ = writeln!(text, " neighbor {router} update-source {}", session.local);
        }
        if let Some(hops) = plan.multihop.filter(|_| !plan.is_internal()) {
            let _ = writeln!(text, " neighbor {router} ebgp-multihop {hops}");
        }
        text.push_str(&features(plan, router));
        let _ = write!(
            text,
            " address-family {} unicast
  neighbor {router} activate
  neighbor {router} route-map OFFERS out
{add_paths} exit-address-family
",
            session.family.pick("ipv4", "ipv6"),
            add_paths = match plan.wishes.add_paths {
                true => format!("  neighbor {router} addpath-tx-all-paths\n"),
                false => String::new(),
            },
        );
    }
    // Sequence numbers of what is offered lie below.
    text.push_str("!\nroute-map OFFERS deny 65535\n!\n");
    text
}

fn graceful(plan: &PeerPlan) -> String {
    let Some(graceful) = plan.wishes.graceful else { return " bgp graceful-restart-disable\n".into() };
    let mut out = format!(
        " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart restart-time {}\n",
        graceful.restart_time_s
    );
    if let Some(stale_time_s) = graceful.stale_time_s {
        let _ = writeln!(out, " bgp long-lived-graceful-restart stale-time {stale_time_s}");
    }
    out
}

fn features(plan: &PeerPlan, router: IpAddr) -> String {
    let line = |feature: &Feature| match feature {
        Feature::Key => Some(format!("password {}", plan.key)),
        Feature::Near => Some("ttl-security hops 1".into()),
        Feature::Roles => plan.role.map(|role| format!("local-role {} strict-mode", role.word())),
        Feature::ExtendedNextHop => Some("capability extended-nexthop".into()),
        // It always says that it can take long messages, and marks around routes that come again.
        _ => None,
    };
    plan.features.iter().filter_map(line).map(|line| format!(" neighbor {router} {line}\n")).collect()
}

/// The statements that announce an offer.
fn announce(plan: &PeerPlan, offer: &Offer) -> String {
    let mut out = String::new();
    for (half, family) in (0u32..).zip(Family::ALL) {
        let (sequence, ip) = (u32::from(offer.number) * 2 + half + 1, family.pick("ip", "ipv6"));
        let (prefix, list) = (offer.prefix(family, plan.index), format!("O{sequence}"));
        let _ = writeln!(out, "{ip} prefix-list {list} permit {prefix}");
        // A map that is made anew has no setting of its predecessor.
        let _ = writeln!(out, "no route-map OFFERS permit {sequence}");
        let _ = writeln!(out, "route-map OFFERS permit {sequence}\n match {ip} address prefix-list {list}");
        let _ = writeln!(out, " set origin {}", offer.origin.word());
        let mut set = |what: &str, values: String| {
            if !values.is_empty() {
                let _ = writeln!(out, " set {what} {values}");
            }
        };
        set("as-path prepend", join(&offer.path, " "));
        set("metric", offer.med.map(|med| med.to_string()).unwrap_or_default());
        set("community", offer.communities.iter().map(|c| community(*c)).collect::<Vec<_>>().join(" "));
        set("large-community", offer.large.iter().map(|l| join(l, ":")).collect::<Vec<_>>().join(" "));
        set("extcommunity rt", offer.targets.iter().map(|(a, n)| format!("{a}:{n}")).collect::<Vec<_>>().join(" "));
        out.push_str("exit\n");
    }
    out + &network(plan, offer, "")
}

fn network(plan: &PeerPlan, offer: &Offer, no: &str) -> String {
    let mut out = format!("router bgp {}\n", plan.autonomous_system);
    for family in Family::ALL {
        let prefix = offer.prefix(family, plan.index);
        let ip = family.pick("ipv4", "ipv6");
        let _ = write!(out, "address-family {ip} unicast\n{no}network {prefix}\nexit-address-family\n");
    }
    out.push_str("exit\n");
    out
}

impl Peer for Frr {
    fn version(&self) -> &str {
        &self.version
    }

    fn state(&self, session: &Session) -> Result<String> {
        let answer = json(&self.view(session)?)?;
        let state =
            answer.get(session.router.to_string()).and_then(|peer| peer.get("bgpState")).and_then(Value::as_str);
        Ok(state.unwrap_or("unknown").to_owned())
    }

    fn times_down(&self) -> Result<u64> {
        count_lines(&self.plan.folder.join("bgpd.log"), |line| line.contains("%ADJCHANGE") && line.contains(" Down"))
    }

    fn offer(&mut self, offers: &[Offer]) -> Result<()> {
        let mut lines = String::new();
        let (gone, new) = changes(&self.offered, offers);
        gone.into_iter().for_each(|gone| lines.push_str(&network(&self.plan, gone, "no ")));
        new.into_iter().for_each(|new| lines.push_str(&announce(&self.plan, new)));
        self.configure(&lines)?;
        self.offered = offers.to_vec();
        Ok(())
    }

    fn table(&self, session: &Session) -> Result<Table> {
        let ip = session.family.pick("ipv4", "ipv6");
        let all = json(&self.console(&[&format!("show bgp {ip} unicast json")])?)?;
        let Some(routes) = all.get("routes").and_then(Value::as_object) else { return Ok(Table::new()) };
        let questions: Vec<String> = routes.keys().map(|p| format!("show bgp {ip} unicast {p} json")).collect();
        let answers = self.console(&questions.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut found = Vec::new();
        for answer in serde_json::Deserializer::from_str(&answers).into_iter::<Value>() {
            let answer = answer.map_err(|error| LabError::Protocol(format!("vtysh's answer ({error}): {answers}")))?;
            let paths = answer.get("paths").and_then(Value::as_array).into_iter().flatten();
            let from = |path: &&Value| text_at(path, "/peer/peerId") == session.router.to_string();
            let id = |path: &Value| path.get("addpathRxId").map(Value::to_string).unwrap_or_default();
            let prefix = text_at(&answer, "/prefix").to_owned();
            found.extend(paths.filter(from).map(|path| (prefix.clone(), id(path), read(path))));
        }
        Ok(super::keyed(found.into_iter()))
    }

    fn ask_again(&self) -> Result<()> {
        for session in &self.plan.sessions {
            let ip = session.family.pick("ipv4", "ipv6");
            self.console(&[&format!("clear bgp {ip} unicast {} soft in", session.router)])?;
        }
        Ok(())
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn times_limited(&self) -> Result<u64> {
        count_lines(&self.plan.folder.join("bgpd.log"), |line| {
            line.contains("NOTIFICATION: received") && line.contains(" 6/1 ")
        })
    }

    fn die(&mut self) {
        super::kill(&mut self.child);
    }

    fn come_back(&mut self, offers: &[Offer]) -> Result<()> {
        cleanup::remove_crash_log_folder(self.child.pid());
        // What it is to announce has to be there before its sessions are, or it would say that it has nothing.
        let announced: String = offers.iter().map(|offer| announce(&self.plan, offer)).collect();
        self.child = bgpd::spawn(&self.plan.namespace, &self.plan.folder, &(text(&self.plan) + &announced))?;
        self.offered = offers.to_vec();
        Ok(())
    }

    fn view(&self, session: &Session) -> Result<String> {
        self.console(&[&format!("show bgp neighbors {} json", session.router)])
    }

    fn set_key(&mut self, key: &'static str) -> Result<()> {
        self.plan.key = key;
        let line = |session: &Session| format!("neighbor {} password {key}\n", session.router);
        self.configure_bgp(&self.plan.sessions.iter().map(line).collect::<String>())
    }

    fn log(&self) -> Result<String> {
        read_log(&self.plan.folder.join("bgpd.log"))
    }

    fn shut_down(&mut self, session: &Session, words: &str) -> Result<()> {
        self.configure_bgp(&format!("neighbor {} shutdown message {words}\n", session.router))
    }

    fn open_again(&mut self, session: &Session) -> Result<()> {
        self.configure_bgp(&format!("no neighbor {} shutdown\n", session.router))
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        self.child.end();
        cleanup::remove_crash_log_folder(self.child.pid());
    }
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn read(path: &Value) -> Seen {
    let words = |pointer: &str| text_at(path, pointer).split_whitespace();
    let next_hops = path.get("nexthops").and_then(Value::as_array);
    let global = next_hops.and_then(|hops| hops.iter().find(|hop| text_at(hop, "/scope") != "link-local"));
    Seen {
        origin: Origin::read(text_at(path, "/origin")).unwrap_or_default(),
        path: match text_at(path, "/aspath/string") {
            "Local" => String::new(),
            numbers => seen::path(numbers),
        },
        next_hop: global.map(|hop| text_at(hop, "/ip").to_owned()).unwrap_or_default(),
        med: seen::number(path.get("metric").or_else(|| path.get("med"))),
        local_preference: seen::number(path.get("locPrf")),
        communities: words("/community/string").filter_map(seen::community).collect(),
        large: words("/largeCommunity/string").filter_map(seen::large).collect(),
        originator: path.get("originatorId").and_then(Value::as_str).map(str::to_owned),
        clusters: strings(path.pointer("/clusterList/list")).join(" "),
        aggregator: path.get("aggregatorAs").map(|number| format!("{number} {}", text_at(path, "/aggregatorId"))),
        atomic: path.get("atomicAggregate").and_then(Value::as_bool).unwrap_or_default(),
        only_to_customer: seen::number(path.get("otc")),
        targets: words("/extendedCommunity/string").filter_map(|w| w.strip_prefix("RT:")).map(str::to_owned).collect(),
    }
    .ordered()
}
