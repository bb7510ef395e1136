//! BIRD 2. What it announces are static routes, whose attributes the export filter towards the router sets.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use super::{Peer, PeerPlan, Session, read_log};
use crate::{
    error::{Doing, Result},
    host::process::Guarded,
    interop::{
        features::Feature,
        offer::{Family, Offer, Origin},
        seen::{self, Seen, Table},
    },
    neighbor::{bird, count_lines},
    topology::TO_ROUTER,
};

/// A running BIRD.
pub(super) struct Bird {
    plan: PeerPlan,
    child: Guarded,
    version: String,
    socket: PathBuf,
    offered: Vec<Offer>,
}

impl Bird {
    pub(super) fn start(plan: PeerPlan) -> Result<Self> {
        let socket = plan.folder.join("bird.ctl");
        let child = bird::spawn(&plan.namespace, &plan.folder, &text(&plan, &[]), &socket)?;
        Ok(Self { plan, child, version: bird::version()?, socket, offered: Vec::new() })
    }

    fn configure(&self) -> Result<()> {
        let file = self.plan.folder.join("bird.conf");
        fs::write(&file, text(&self.plan, &self.offered)).doing(|| format!("write {}", file.display()))?;
        bird::control(&self.socket, "configure").map(drop)
    }
}

/// The protocol of a session.
fn protocol(family: Family) -> &'static str {
    family.pick("router4", "router6")
}

/// The protocol that has the routes of one path identifier.
fn source(family: Family, path_id: Option<u32>) -> String {
    format!("{}_{}", family.pick("ours4", "ours6"), path_id.unwrap_or_default())
}

fn text(plan: &PeerPlan, offers: &[Offer]) -> String {
    let mut text = format!(
        "log \"{}\" all;\nrouter id {};\nprotocol device {{}}\n",
        plan.folder.join("bird.log").display(),
        plan.router_id()
    );
    for family in Family::ALL {
        let ip = family.pick("ipv4", "ipv6");
        // Each path to one destination is another protocol's.
        let ids: BTreeSet<Option<u32>> = offers.iter().map(|offer| offer.path_id).chain([None]).collect();
        for id in ids {
            let _ = writeln!(text, "protocol static {} {{\n  {ip};", source(family, id));
            for offer in offers.iter().filter(|offer| offer.path_id == id) {
                let _ = writeln!(text, "  route {} blackhole;", offer.prefix(family, plan.index));
            }
            text.push_str("}\n");
        }
        let _ = writeln!(text, "filter offers_{ip} {{");
        for offer in offers {
            let (prefix, source) = (offer.prefix(family, plan.index), source(family, offer.path_id));
            let _ = writeln!(text, "  if net = {prefix} && proto = \"{source}\" then {{ {}accept; }}", settings(offer));
        }
        text.push_str("  reject;\n}\n");
    }
    for session in &plan.sessions {
        let ip = session.family.pick("ipv4", "ipv6");
        let hops = plan.multihop.map(|hops| format!("  multihop {hops};\n")).unwrap_or_default();
        let _ = write!(
            text,
            "protocol bgp {name} {{
  debug {{ states, events }};
  local {local} as {own_as};
  neighbor {router} as {router_as};
{interface}{hops}{features}{hold}  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  {graceful}
  {ip} {{ import all; export filter offers_{ip};{by} {add_paths} }};
}}
",
            graceful = graceful(plan),
            add_paths = if plan.wishes.add_paths { "add paths on;" } else { "" },
            interface = if session.is_link_local() { format!("  interface \"{TO_ROUTER}\";\n") } else { String::new() },
            features = features(plan),
            hold = hold_time(plan.hold_time_s),
            by = if plan.has(Feature::ExtendedNextHop) { " extended next hop on;" } else { "" },
            name = protocol(session.family),
            local = session.local,
            own_as = plan.autonomous_system,
            router = session.router,
            router_as = plan.router_as,
        );
    }
    text
}

fn graceful(plan: &PeerPlan) -> String {
    let Some(graceful) = plan.wishes.graceful else {
        return "graceful restart off; long lived graceful restart off;".into();
    };
    let long = match graceful.stale_time_s {
        Some(stale_time_s) => format!("long lived graceful restart on; long lived stale time {stale_time_s};"),
        None => "long lived graceful restart off;".into(),
    };
    format!("graceful restart on; graceful restart time {}; {long}", graceful.restart_time_s)
}

fn hold_time(seconds: u16) -> String {
    match seconds {
        0 => "  hold time 0;\n".into(),
        _ => format!("  hold time {seconds};\n  keepalive time {};\n", seconds / 3),
    }
}

fn features(plan: &PeerPlan) -> String {
    let line = |feature: &Feature| match feature {
        Feature::Key => Some(format!("password \"{}\";", plan.key)),
        Feature::Near => Some("ttl security on;".into()),
        Feature::Roles => plan.role.map(|role| format!("local role {};\n  require roles on;", role.word())),
        Feature::ExtendedMessages => Some("enable extended messages on;".into()),
        _ => None,
    };
    plan.features.iter().filter_map(line).map(|line| format!("  {line}\n")).collect()
}

fn settings(offer: &Offer) -> String {
    let mut out = format!("bgp_origin = ORIGIN_{}; ", offer.origin.word().to_uppercase());
    // Each goes in front of those before it.
    for number in offer.path.iter().rev() {
        let _ = write!(out, "bgp_path.prepend({number}); ");
    }
    if let Some(med) = offer.med {
        let _ = write!(out, "bgp_med = {med}; ");
    }
    for value in &offer.communities {
        let _ = write!(out, "bgp_community.add(({},{})); ", value >> 16, value & 0xffff);
    }
    for [a, b, c] in &offer.large {
        let _ = write!(out, "bgp_large_community.add(({a},{b},{c})); ");
    }
    for (a, b) in &offer.targets {
        let _ = write!(out, "bgp_ext_community.add((rt,{a},{b})); ");
    }
    out
}

impl Peer for Bird {
    fn version(&self) -> &str {
        &self.version
    }

    fn state(&self, session: &Session) -> Result<String> {
        let name = protocol(session.family);
        let text = bird::control(&self.socket, &format!("show protocols {name}"))?;
        // "router4    BGP        ---        up     12:00:00.123  Established"
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        Ok(line.split_whitespace().skip(5).collect::<Vec<_>>().join(" "))
    }

    fn times_down(&self) -> Result<u64> {
        count_lines(&self.plan.folder.join("bird.log"), |line| line.contains("BGP session closed"))
    }

    fn offer(&mut self, offers: &[Offer]) -> Result<()> {
        self.offered = offers.to_vec();
        self.configure()
    }

    fn table(&self, session: &Session) -> Result<Table> {
        let name = protocol(session.family);
        Ok(read(&bird::control(&self.socket, &format!("show route protocol {name} all"))?))
    }

    fn ask_again(&self) -> Result<()> {
        let names: Vec<_> = self.plan.sessions.iter().map(|session| protocol(session.family)).collect();
        names.iter().try_for_each(|name| bird::control(&self.socket, &format!("reload in {name}")).map(drop))
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn times_limited(&self) -> Result<u64> {
        let file = self.plan.folder.join("bird.log");
        count_lines(&file, |line| line.contains("Received: Maximum number of prefixes reached"))
    }

    fn die(&mut self) {
        super::kill(&mut self.child);
    }

    fn come_back(&mut self, offers: &[Offer]) -> Result<()> {
        let text = text(&self.plan, offers);
        self.child = bird::spawn_with(&self.plan.namespace, &self.plan.folder, &text, &self.socket, true)?;
        self.offered = offers.to_vec();
        Ok(())
    }

    fn view(&self, session: &Session) -> Result<String> {
        let text = bird::control(&self.socket, &format!("show protocols all {}", protocol(session.family)))?;
        // What it announces itself comes before.
        Ok(text.split_once("Neighbor capabilities").map_or_else(|| text.clone(), |(_, heard)| heard.to_owned()))
    }

    fn set_key(&mut self, key: &'static str) -> Result<()> {
        self.plan.key = key;
        self.configure()
    }

    fn log(&self) -> Result<String> {
        read_log(&self.plan.folder.join("bird.log"))
    }

    fn shut_down(&mut self, session: &Session, words: &str) -> Result<()> {
        bird::control(&self.socket, &format!("disable {} \"{words}\"", protocol(session.family))).map(drop)
    }

    fn open_again(&mut self, session: &Session) -> Result<()> {
        bird::control(&self.socket, &format!("enable {}", protocol(session.family))).map(drop)
    }
}

/// `show route ... all`: a line for each path, which begins with the prefix if it is the first one to it, then a line for each
/// attribute.
fn read(text: &str) -> Table {
    let mut paths: Vec<(String, &str, Seen)> = Vec::new();
    // A long list goes on in the next lines, further in.
    let text = text.replace("\n\t\t", " ");
    for line in text.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if let Some((_, after)) = line.split_once(" [router") {
            let begins = !line.starts_with(['\t', ' ']);
            let before = paths.last().map(|(prefix, ..)| prefix.clone());
            let prefix = if begins { first.to_owned() } else { before.unwrap_or_default() };
            let arrived = after.split([' ', ']']).nth(1).unwrap_or_default();
            paths.push((prefix, arrived, Seen::default()));
        } else if let (Some((name, value)), Some((.., seen))) = (line.trim().split_once(':'), paths.last_mut()) {
            attribute(seen, name, value.trim());
        }
    }
    // It does not say identifiers of paths. That one is told anew under another identifier shows in its time.
    super::keyed(paths.into_iter().map(|(prefix, arrived, seen)| (prefix, arrived.to_owned(), seen.ordered())))
}

fn attribute(seen: &mut Seen, name: &str, value: &str) {
    match name.to_ascii_lowercase().trim_start_matches("bgp.").trim_start_matches("bgp_") {
        "origin" => seen.origin = Origin::read(value).unwrap_or_default(),
        "as_path" | "path" => seen.path = seen::path(value),
        // Of two in IPv6 the global one comes first.
        "next_hop" => value.split_whitespace().next().unwrap_or_default().clone_into(&mut seen.next_hop),
        "originator_id" => seen.originator = Some(value.to_owned()),
        "cluster_list" => value.clone_into(&mut seen.clusters),
        // "10.113.255.1 AS65000"
        "aggregator" => {
            seen.aggregator = value.split_once(" AS").map(|(address, number)| format!("{number} {address}"));
        }
        "atomic_aggr" => seen.atomic = true,
        "med" => seen.med = value.parse().ok(),
        "otc" => seen.only_to_customer = value.parse().ok(),
        "local_pref" => seen.local_preference = value.parse().ok(),
        "community" => seen.communities = tuples(value).iter().filter_map(|t| seen::community(&t.join(":"))).collect(),
        "large_community" => seen.large = tuples(value).iter().filter_map(|t| seen::large(&t.join(":"))).collect(),
        "ext_community" => {
            let target = |tuple: &Vec<&str>| (tuple.first() == Some(&"rt")).then(|| tuple[1..].join(":"));
            seen.targets = tuples(value).iter().filter_map(target).collect();
        }
        _ => {}
    }
}

/// `(1,2) (3, 4)`.
fn tuples(text: &str) -> Vec<Vec<&str>> {
    text.split(['(', ')'])
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(|t| t.split(',').map(str::trim).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_read() {
        let text = "BIRD 2.0.12 ready.\nTable master4:\n172.16.9.0/24        unicast [router4 23:00:00.000] * (100) [AS64512e]\n\tvia 10.113.1.1 on router\n\tType: BGP univ\n\tBGP.origin: EGP\n\tBGP.as_path: 65000 64512 {64700 4200000700}\n\tBGP.next_hop: 10.113.1.1\n\tBGP.med: 7\n\tBGP.local_pref: 100\n\tBGP.community: (65000,1) (64512,65535)\n\tBGP.ext_community: (rt, 64512, 100)\n\tBGP.large_community: (4200000000, 1, 2) (1, 0, 4294967295)\n172.16.10.0/24 unreachable [router4 23:00:00.000] * (100) [i]\n\tBGP.origin: IGP\n                     unicast [router4 23:00:01.000] (100) [AS7i]\n\tBGP.origin: IGP\n\tBGP.as_path: 7\n\tBGP.aggregator: 10.113.255.1 AS65000\n\tBGP.atomic_aggr: \n\tBGP.originator_id: 10.0.0.1\n\tBGP.cluster_list: 10.0.0.9 10.0.0.8\n";
        let table = read(text);
        let seen = &table["172.16.9.0/24 #23:00:00.000 65000 64512 {64700 4200000700}"];
        assert_eq!((seen.origin, seen.path.as_str()), (Origin::Egp, "65000 64512 {64700 4200000700}"));
        assert_eq!((seen.next_hop.as_str(), seen.med, seen.local_preference), ("10.113.1.1", Some(7), Some(100)));
        assert_eq!(
            (seen.communities.len(), seen.large.len(), seen.targets.as_slice()),
            (2, 2, &["64512:100".to_owned()][..])
        );
        assert_eq!(table["172.16.10.0/24 #23:00:00.000 "], Seen::default());
        let other = &table["172.16.10.0/24 #23:00:01.000 7"];
        assert_eq!((other.originator.as_deref(), other.clusters.as_str()), (Some("10.0.0.1"), "10.0.0.9 10.0.0.8"));
        assert_eq!((other.aggregator.as_deref(), other.atomic), (Some("65000 10.113.255.1"), true));
    }
}
