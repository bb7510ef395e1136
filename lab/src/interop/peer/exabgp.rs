//! ExaBGP. It has no table: what it hears it tells, as JSON, to a process of ours, which keeps it in a file; what it is to say
//! it reads from another one. The table follows from the file.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{ESTABLISHED, Peer, PeerPlan, Session, changes, community, join, read_log, strings};
use crate::{
    error::{Doing, Result},
    host::{
        process::{self, Guarded},
        programs,
    },
    interop::{
        features::Feature,
        offer::{Family, Offer, Origin},
        seen::{self, Seen, Table},
    },
    neighbor::count_lines,
};

/// A running ExaBGP.
pub(super) struct Exabgp {
    plan: PeerPlan,
    child: Guarded,
    version: String,
    offered: Vec<Offer>,
}

impl Exabgp {
    pub(super) fn start(plan: PeerPlan) -> Result<Self> {
        let version = process::run(Command::new(programs::EXABGP.find()?).arg("--version"))?;
        // "ExaBGP : 4.2.21"
        let version = version.lines().next().and_then(|line| line.split_whitespace().last()).unwrap_or("unknown");
        Ok(Self { child: spawn(&plan, "")?, version: version.to_owned(), plan, offered: Vec::new() })
    }

    fn order(&self, lines: &str) -> Result<()> {
        let path = self.plan.folder.join("orders");
        let doing = || format!("write {}", path.display());
        let mut file = fs::OpenOptions::new().append(true).open(&path).doing(doing)?;
        file.write_all(lines.as_bytes()).doing(doing)
    }

    /// What it told, in order. A line that is being written is left for the next time.
    fn heard(&self) -> Result<Vec<Value>> {
        let path = self.plan.folder.join("heard.json");
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// `orders`: what it is to say first.
fn spawn(plan: &PeerPlan, orders: &str) -> Result<Guarded> {
    let (file, words) = (plan.folder.join("exabgp.conf"), plan.folder.join("exabgp.log"));
    let write = |name: &str, text: &str| {
        let file = plan.folder.join(name);
        fs::write(&file, text).doing(|| format!("write {}", file.display()))
    };
    write("heard.json", "")?;
    write("orders", orders)?;
    // It takes a process that closes its output for one that has ended.
    write("hear.sh", &format!("exec 3>&1\nexec cat >> {}\n", plan.folder.join("heard.json").display()))?;
    write("say.sh", &format!("exec tail -n +1 -s 0.1 -f {}\n", plan.folder.join("orders").display()))?;
    write("exabgp.conf", &text(plan))?;
    let said = fs::File::create(&words).doing(|| format!("create {}", words.display()))?;
    let mut command = Command::new(programs::EXABGP.find()?);
    // It stays root, because the lab's folder is root's; nobody waits for an answer to an order.
    for (name, value) in [
        ("exabgp_daemon_user", "root"),
        ("exabgp_daemon_drop", "false"),
        ("exabgp_api_ack", "false"),
        ("exabgp_api_cli", "false"),
        ("exabgp_tcp_bind", ""),
    ] {
        command.env(name, value);
    }
    command.arg(&file).stdin(Stdio::null());
    command.stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
    Ok(Guarded::new("exabgp", plan.namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(words))
}

fn text(plan: &PeerPlan) -> String {
    let shell = |name: &str| format!("run /bin/sh {}", plan.folder.join(name).display());
    let mut text = format!(
        "process hear {{ {}; encoder json; }}\nprocess say {{ {}; encoder text; }}\n",
        shell("hear.sh"),
        shell("say.sh")
    );
    for session in &plan.sessions {
        let _ = write!(
            text,
            "neighbor {router} {{
  router-id {id};
  local-address {local};
  local-as {own_as};
  peer-as {router_as};
  hold-time {hold};
  family {{ {ip} unicast;{next_hops} }}
  capability {{ asn4 enable; route-refresh enable; {add_paths} {graceful}{capabilities} }}
  {add_paths_families}
{features}  api hears-{ip} {{ processes [ hear ]; neighbor-changes; {negotiated}receive {{ parsed; update; open; notification; }} }}
  api says-{ip} {{ processes [ say ]; }}
}}
",
            graceful = match plan.wishes.graceful {
                Some(graceful) => format!("graceful-restart {};", graceful.restart_time_s),
                None => String::new(),
            },
            add_paths = if plan.wishes.add_paths { "add-path send/receive;" } else { "" },
            // ExaBGP 4.2 ends the session over saying so where there are several paths.
            negotiated = if plan.wishes.add_paths { "" } else { "negotiated; " },
            add_paths_families = match plan.wishes.add_paths {
                true => format!("add-path {{ {} unicast; }}", session.family.pick("ipv4", "ipv6")),
                false => String::new(),
            },
            // It takes IPv6 addresses as next hops only beside the IPv6 routes whose family they are of; the router offers none of these.
            next_hops = if by_ipv6(plan, session) { " ipv6 unicast;" } else { "" },
            capabilities = capabilities(plan),
            features = features(plan, session),
            router = session.router,
            id = plan.router_id(),
            local = session.local,
            own_as = plan.autonomous_system,
            router_as = plan.router_as,
            hold = plan.hold_time_s,
            ip = session.family.pick("ipv4", "ipv6"),
        );
    }
    text
}

/// IPv4 routes with IPv6 next hops (RFC 8950).
fn by_ipv6(plan: &PeerPlan, session: &Session) -> bool {
    plan.has(Feature::ExtendedNextHop) && session.family == Family::Inet
}

fn path_information(offer: &Offer) -> String {
    offer.path_id.map(|id| format!(" path-information {id}")).unwrap_or_default()
}

fn capabilities(plan: &PeerPlan) -> String {
    let words = |feature: &Feature| match feature {
        Feature::ExtendedMessages => Some(" extended-message enable;"),
        Feature::ExtendedNextHop => Some(" nexthop enable;"),
        _ => None,
    };
    plan.features.iter().filter_map(words).collect()
}

fn features(plan: &PeerPlan, session: &Session) -> String {
    let line = |feature: &Feature| match feature {
        Feature::Key => Some(format!("md5-password {}; md5-ip {};", plan.key, session.local)),
        Feature::Near => Some("outgoing-ttl 255; incoming-ttl 255;".into()),
        Feature::ExtendedNextHop => by_ipv6(plan, session).then(|| "nexthop { ipv4 unicast ipv6; }".into()),
        _ => None,
    };
    plan.features.iter().filter_map(line).map(|line| format!("  {line}\n")).collect()
}

/// An order that announces an offer in a session.
fn announce(plan: &PeerPlan, session: &Session, offer: &Offer) -> String {
    let prefix = offer.prefix(session.family, plan.index);
    let mut out = format!("neighbor {} announce route {prefix} next-hop {}", session.router, session.local);
    out.push_str(&path_information(offer));
    let _ = write!(out, " origin {}", offer.origin.word());
    // What is given is sent as it is: its own number is not put in front.
    let own = if plan.is_internal() { String::new() } else { format!("{} ", plan.autonomous_system) };
    let set = if offer.set.is_empty() { String::new() } else { format!(" ( {} )", join(&offer.set, " ")) };
    let _ = write!(out, " as-path [ {own}{}{set} ]", join(&offer.path, " "));
    let mut list = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            let _ = write!(out, " {name} [ {} ]", values.join(" "));
        }
    };
    list("community", offer.communities.iter().map(|c| community(*c)).collect());
    list("large-community", offer.large.iter().map(|l| join(l, ":")).collect());
    list("extended-community", offer.targets.iter().map(|(a, b)| format!("target:{a}:{b}")).collect());
    list("cluster-list", offer.clusters.iter().map(ToString::to_string).collect());
    if let Some(med) = offer.med {
        let _ = write!(out, " med {med}");
    }
    if let Some(originator) = offer.originator {
        let _ = write!(out, " originator-id {originator}");
    }
    out.push('\n');
    out
}

impl Peer for Exabgp {
    fn version(&self) -> &str {
        &self.version
    }

    fn state(&self, session: &Session) -> Result<String> {
        let last = self.heard()?.iter().rev().find_map(|event| change(event, session).map(str::to_owned));
        Ok(if last.as_deref() == Some("up") { ESTABLISHED.into() } else { format!("{last:?}") })
    }

    fn times_down(&self) -> Result<u64> {
        let heard = self.heard()?;
        // A connection that never came up ends with "down", too.
        let of = |session: &Session| {
            let changes: Vec<&str> = heard.iter().filter_map(|event| change(event, session)).collect();
            let states: Vec<&str> = changes.into_iter().filter(|state| ["up", "down"].contains(state)).collect();
            states.windows(2).filter(|pair| pair == &["up", "down"]).count() as u64
        };
        Ok(self.plan.sessions.iter().map(of).sum())
    }

    fn offer(&mut self, offers: &[Offer]) -> Result<()> {
        let mut lines = String::new();
        let (gone, new) = changes(&self.offered, offers);
        for session in &self.plan.sessions {
            for gone in &gone {
                let prefix = gone.prefix(session.family, self.plan.index);
                let (router, local, id) = (session.router, session.local, path_information(gone));
                let _ = writeln!(lines, "neighbor {router} withdraw route {prefix} next-hop {local}{id}");
            }
            for new in &new {
                lines.push_str(&announce(&self.plan, session, new));
            }
        }
        self.offered = offers.to_vec();
        self.order(&lines)
    }

    fn table(&self, session: &Session) -> Result<Table> {
        let mut table = Table::new();
        for event in self.heard()? {
            if change(&event, session) == Some("down") {
                table.clear();
            } else if is_from(&event, session) {
                update(&mut table, &event, session.family);
            }
        }
        Ok(table)
    }

    fn ask_again(&self) -> Result<()> {
        let ask = |session: &Session| {
            let ip = session.family.pick("ipv4", "ipv6");
            format!("neighbor {} announce route-refresh {ip} unicast\n", session.router)
        };
        self.order(&self.plan.sessions.iter().map(ask).collect::<String>())
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn times_limited(&self) -> Result<u64> {
        // What the router says of the limit stands in the line as it came, so that it is no JSON.
        count_lines(&self.plan.folder.join("heard.json"), |line| line.contains("notification received (6,1)"))
    }

    fn die(&mut self) {
        super::kill(&mut self.child);
    }

    fn come_back(&mut self, offers: &[Offer]) -> Result<()> {
        let sessions = self.plan.sessions.iter();
        let lines = sessions.flat_map(|session| offers.iter().map(|offer| announce(&self.plan, session, offer)));
        self.child = spawn(&self.plan, &lines.collect::<String>())?;
        self.offered = offers.to_vec();
        Ok(())
    }

    /// What it told of the session, but its routes.
    fn view(&self, session: &Session) -> Result<String> {
        let is_view = |event: &&Value| is_from(event, session) && event.pointer("/neighbor/message/update").is_none();
        Ok(self.heard()?.iter().filter(is_view).map(|event| format!("{event}\n")).collect())
    }

    /// It reads its file again on a signal.
    fn set_key(&mut self, key: &'static str) -> Result<()> {
        self.plan.key = key;
        let file = self.plan.folder.join("exabgp.conf");
        fs::write(&file, text(&self.plan)).doing(|| format!("write {}", file.display()))?;
        process::signal(self.child.pid(), Signal::SIGUSR1);
        Ok(())
    }

    fn log(&self) -> Result<String> {
        Ok(read_log(&self.plan.folder.join("exabgp.log"))? + &read_log(&self.plan.folder.join("heard.json"))?)
    }

    /// It has no words to go with it, and calls again at once.
    fn shut_down(&mut self, session: &Session, _words: &str) -> Result<()> {
        self.order(&format!("neighbor {} teardown 2\n", session.router))
    }

    fn open_again(&mut self, _session: &Session) -> Result<()> {
        Ok(())
    }
}

fn is_from(event: &Value, session: &Session) -> bool {
    let peer = event.pointer("/neighbor/address/peer").and_then(Value::as_str);
    peer.and_then(|peer| peer.parse().ok()) == Some(session.router)
}

/// The state that an event says a session has now.
fn change<'a>(event: &'a Value, session: &Session) -> Option<&'a str> {
    event.pointer("/neighbor/state").filter(|_| is_from(event, session))?.as_str()
}

fn update(table: &mut Table, event: &Value, family: Family) {
    let Some(update) = event.pointer("/neighbor/message/update") else { return };
    let name = family.pick("ipv4 unicast", "ipv6 unicast");
    // A key of the table: with the identifier of a path, where there is one.
    let nlri = |value: &Value| {
        let prefix = value.get("nlri")?.as_str()?;
        let id = value.get("path-information").and_then(Value::as_str).map(|id| format!(" #{id}"));
        Some(prefix.to_owned() + &id.unwrap_or_default())
    };
    for gone in update.get("withdraw").and_then(|w| w.get(name)).and_then(Value::as_array).into_iter().flatten() {
        nlri(gone).map(|prefix| table.remove(&prefix));
    }
    let announced = update.get("announce").and_then(|a| a.get(name)).and_then(Value::as_object);
    for (next_hop, prefixes) in announced.into_iter().flatten() {
        let seen = read(update.get("attribute").unwrap_or(&Value::Null), next_hop);
        let prefixes = prefixes.as_array().into_iter().flatten().filter_map(nlri);
        table.extend(prefixes.map(|prefix| (prefix, seen.clone())));
    }
}

fn read(attributes: &Value, next_hop: &str) -> Seen {
    let list = |name: &str| attributes.get(name).and_then(Value::as_array).into_iter().flatten();
    let numbers = |name: &str| list(name).map(Value::to_string).collect::<Vec<_>>().join(" ");
    let set = numbers("as-set");
    let set = if set.is_empty() { set } else { format!(" {{{set}}}") };
    let words = |value: &Value| -> Vec<u32> {
        value.as_array().into_iter().flatten().filter_map(|word| seen::number(Some(word))).collect()
    };
    let target = |value: &Value| Some(value.get("string")?.as_str()?.strip_prefix("target:")?.to_owned());
    Seen {
        origin: Origin::read(attributes.get("origin").and_then(Value::as_str).unwrap_or_default()).unwrap_or_default(),
        path: seen::path(&(numbers("as-path") + &set)),
        // A link-local one may stand behind it.
        next_hop: next_hop.split(',').next().unwrap_or_default().trim().to_owned(),
        med: seen::number(attributes.get("med")),
        local_preference: seen::number(attributes.get("local-preference")),
        communities: list("community")
            .filter_map(|c| <[u32; 2]>::try_from(words(c)).ok())
            .map(|[a, b]| a << 16 | b)
            .collect(),
        large: list("large-community").filter_map(|c| <[u32; 3]>::try_from(words(c)).ok()).collect(),
        only_to_customer: None, // it shows what it does not know as octets
        targets: list("extended-community").filter_map(target).collect(),
        originator: attributes.get("originator-id").and_then(Value::as_str).map(str::to_owned),
        clusters: strings(attributes.get("cluster-list")).join(" "),
        // "65000:10.113.255.1"
        aggregator: attributes.get("aggregator").and_then(Value::as_str).map(|text| text.replacen(':', " ", 1)),
        atomic: attributes.get("atomic-aggregate").and_then(Value::as_bool).unwrap_or_default(),
    }
    .ordered()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_follows_from_what_it_told() {
        let session = Session {
            family: Family::Inet,
            local: "10.113.3.2".parse().unwrap(),
            router: "10.113.3.1".parse().unwrap(),
        };
        let event = |message: Value| serde_json::json!({"neighbor": {"address": {"peer": "10.113.3.1"}, "message": {"update": message}}});
        let announced = event(
            serde_json::json!({"attribute": {"origin": "egp", "as-path": [65000, 4200000001u32], "as-set": [9, 8],
            "med": 7, "community": [[65000, 1]], "large-community": [[1, 2, 3]], "extended-community": [{"value": 1, "string": "target:64512:100"}]},
            "announce": {"ipv4 unicast": {"10.113.3.1": [{"nlri": "172.16.9.0/24"}, {"nlri": "172.16.10.0/24"}]}}}),
        );
        let withdrawn = event(serde_json::json!({"withdraw": {"ipv4 unicast": [{"nlri": "172.16.10.0/24"}]}}));
        let mut table = Table::new();
        for event in [&announced, &withdrawn] {
            assert!(is_from(event, &session));
            update(&mut table, event, session.family);
        }
        let seen = &table["172.16.9.0/24"];
        assert_eq!((table.len(), seen.path.as_str(), seen.med), (1, "65000 4200000001 {8 9}", Some(7)));
        assert_eq!(
            (seen.communities.as_slice(), seen.targets.as_slice()),
            (&[0xfde8_0001][..], &["64512:100".to_owned()][..])
        );
    }
}
