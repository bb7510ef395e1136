//! The views of one configuration: canonical text, `set`, JSON, and the compiled form.

use holdfast_config::{Configuration, Schema};
use holdfast_proto::v1;

const FULL: &str = include_str!("data/full.conf");

fn schema() -> Schema {
    Schema::load().unwrap()
}

fn parse(text: &str) -> Configuration {
    Configuration::parse("t.conf", text, &schema())
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(|error| format!("{error}\n")).collect::<String>()))
}

/// Compares with a committed file; `HOLDFAST_BLESS=1` writes it.
fn golden(name: &str, observed: &str) {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::write(&path, observed).unwrap();
    }
    assert_eq!(observed, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn canonical_text_set_and_json() {
    let full = parse(FULL);
    golden("full.text", full.to_text());
    golden("full.set", full.to_set());
    golden("full.json", &format!("{}\n", serde_json::to_string_pretty(full.to_json()).unwrap()));
    let again = parse(full.to_text());
    assert_eq!(again.to_text(), full.to_text());
    assert_eq!(again.to_set(), full.to_set());
    assert_eq!(again.digest(), full.digest());
    assert_eq!(full.digest().len(), 32);
}

#[test]
fn compiled_form() {
    let compiled = parse(FULL).compile(7);
    assert_eq!(compiled.commit_id, 7);
    let compiled = v1::RouterConfig { digest: Vec::new(), ..compiled };
    golden("full.compiled.json", &format!("{}\n", serde_json::to_string_pretty(&compiled).unwrap()));
}

#[test]
fn defaults_of_an_empty_configuration() {
    let compiled = parse("").compile(1);
    assert_eq!(compiled.chassis.unwrap().minimum_spacing_s, 300);
    let routing = compiled.routing.unwrap();
    assert_eq!((routing.maximum_paths, routing.restart_duration_s), (1, 120));
    let bgp = compiled.bgp.unwrap();
    assert_eq!((bgp.enabled, bgp.listen_port), (false, 179));
}

fn neighbor(text: &str) -> v1::BgpNeighborConfig {
    let text = format!("routing-options {{ autonomous-system 65001; {} }}", text);
    parse(&text).compile(1).bgp.unwrap().neighbors.remove(0)
}

#[test]
fn defaults_of_a_neighbor() {
    let n = neighbor("} protocols { bgp { group G { peer-as 65002; neighbor 10.0.0.2; } }");
    assert_eq!(
        (n.hold_time_s, n.restart_time_s, n.stale_routes_time_s, n.port, n.multihop_ttl),
        (90, 120, 300, 179, 0)
    );
    assert_eq!(n.families, [i32::from(v1::AddressFamily::Ipv4Unicast)]);
    assert!(!n.graceful_restart && n.graceful_restart_helper && !n.internal && !n.passive);
    assert_eq!((n.peer_as, n.local_as), (65002, 65001));
}

#[test]
fn internal_neighbors_take_the_router_as() {
    let n = neighbor("} protocols { bgp { group G { type internal; neighbor 10.0.0.2; } }");
    assert!(n.internal);
    assert_eq!((n.peer_as, n.local_as, n.multihop_ttl), (65001, 65001, 64));
}

#[test]
fn graceful_restart_follows_the_nearest_statement() {
    let announced = |router: &str, bgp: &str, group: &str, neighbor_level: &str| {
        let n = neighbor(&format!(
            "{router} }} protocols {{ bgp {{ {bgp} group G {{ peer-as 2; {group} neighbor 10.0.0.2 {{ {neighbor_level} }} }} }}"
        ));
        (n.graceful_restart, n.graceful_restart_helper)
    };
    assert_eq!(announced("", "", "", ""), (false, true));
    assert_eq!(announced("graceful-restart;", "", "", ""), (true, true));
    assert_eq!(announced("graceful-restart { disable; }", "", "", ""), (false, false));
    assert_eq!(announced("graceful-restart;", "", "graceful-restart disable;", ""), (false, false));
    assert_eq!(announced("", "graceful-restart;", "", ""), (true, true));
    assert_eq!(announced("", "graceful-restart disable;", "", "graceful-restart;"), (true, true));
}

#[test]
fn an_inactive_statement_is_kept_and_not_in_force() {
    let text = "inactive: routing-options {\n    autonomous-system 1;\n}\n";
    let parsed = parse(text);
    assert_eq!(parsed.to_text(), text);
    assert_eq!(parsed.to_set(), "set routing-options autonomous-system 1\ndeactivate routing-options\n");
    assert_eq!(parsed.to_json(), &serde_json::json!({}));
    assert_eq!(parsed.compile(1).routing.unwrap().autonomous_system, 0);
}

#[test]
fn spelling_does_not_change_the_digest() {
    let one = parse("routing-options { static { route 2001:DB8::/32 discard; } autonomous-system 007; }");
    let two = parse(
        "# same\nrouting-options autonomous-system 7; routing-options { static route \"2001:db8::/32\" { discard; } }",
    );
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn many_routes_are_read_in_time() {
    let routes: String = (0..20_000u32).map(|i| format!("route 10.{}.{}.0/24 discard;\n", i / 256, i % 256)).collect();
    let parsed = parse(&format!("routing-options {{ static {{ {routes} }} }}"));
    assert_eq!(parsed.compile(1).routing.unwrap().static_routes.len(), 20_000);
}
