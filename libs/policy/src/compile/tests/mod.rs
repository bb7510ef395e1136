//! Configurations as operators write them, the answers they get, and the mistakes they make.

mod actions;
mod chains;
mod conditions;
mod mistakes;

use super::*;
use crate::changes::{Changes, NextHopAction};
use crate::route::{Disposition, Origin, Protocol, RouteView};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::IpAddr;
use v1::community_action::Kind as Action;
use v1::policy_actions::Disposition as Then;
use v1::route_filter::Kind as Filter;

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub prefix: IpNet,
    pub protocol: Protocol,
    pub neighbor: Option<IpAddr>,
    pub communities: Vec<u32>,
    pub extended: Vec<[u8; 8]>,
    pub large: Vec<[u32; 3]>,
    pub target: Option<IpAddr>,
    pub external: Option<bool>,
    pub origin: Origin,
    pub path: Vec<Vec<u32>>,
    pub next_hop: Option<IpAddr>,
    pub local_preference: u32,
    pub metric: Option<u32>,
    pub tag: u32,
}

impl RouteView for Route {
    fn prefix(&self) -> IpNet {
        self.prefix
    }
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn neighbor(&self) -> Option<IpAddr> {
        self.neighbor
    }
    fn communities(&self) -> &[u32] {
        &self.communities
    }
    fn extended_communities(&self) -> &[[u8; 8]] {
        &self.extended
    }
    fn large_communities(&self) -> &[[u32; 3]] {
        &self.large
    }
    fn target(&self) -> Option<IpAddr> {
        self.target
    }
    fn external(&self) -> Option<bool> {
        self.external
    }
    fn origin(&self) -> Origin {
        self.origin
    }
    fn as_path(&self, hop: &mut dyn FnMut(&[u32])) {
        self.path.iter().for_each(|step| hop(step));
    }
    fn as_path_length(&self) -> u32 {
        self.path.len() as u32
    }
    fn next_hop(&self) -> Option<IpAddr> {
        self.next_hop
    }
    fn local_preference(&self) -> u32 {
        self.local_preference
    }
    fn metric(&self) -> Option<u32> {
        self.metric
    }
    fn preference(&self) -> u32 {
        170
    }
    fn tag(&self) -> u32 {
        self.tag
    }
}

pub(super) fn route(prefix: &str) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        protocol: Protocol::Bgp,
        neighbor: Some("10.0.0.2".parse().unwrap()),
        communities: vec![0xfde8_0001],
        extended: vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 1]],
        large: vec![[65000, 1, 1]],
        target: Some("10.0.0.3".parse().unwrap()),
        external: Some(true),
        origin: Origin::Igp,
        path: vec![vec![65002], vec![65003], vec![1, 2]],
        next_hop: Some("10.0.0.9".parse().unwrap()),
        local_preference: 100,
        metric: Some(50),
        tag: 7,
    }
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn term(name: &str, from: v1::PolicyMatch, then: v1::PolicyActions) -> v1::PolicyTerm {
    v1::PolicyTerm { name: name.to_owned(), r#match: Some(from), actions: Some(then), to: None }
}

fn then(disposition: Then) -> v1::PolicyActions {
    v1::PolicyActions { disposition: disposition.into(), ..Default::default() }
}

fn change(kind: Action, community: &str) -> v1::CommunityAction {
    v1::CommunityAction { kind: kind.into(), community: community.to_owned() }
}

fn filter(prefix: &str, kind: Filter, upto: u32) -> v1::PolicyMatch {
    let filter = v1::RouteFilter { prefix: prefix.to_owned(), kind: kind.into(), upto, from_length: 0 };
    v1::PolicyMatch { route_filters: vec![filter], ..Default::default() }
}

fn carrying(community: &str) -> v1::PolicyMatch {
    v1::PolicyMatch { communities: strings(&[community]), ..Default::default() }
}

/// Two prefix lists, four communities, and the statements given, named P0, P1 and so on.
fn options(statements: Vec<Vec<v1::PolicyTerm>>) -> v1::PolicyOptions {
    let list = |name: &str, prefixes: &[&str]| v1::PrefixList { name: name.to_owned(), prefixes: strings(prefixes) };
    let community = |name: &str, members: &[&str]| v1::CommunityList {
        name: name.to_owned(),
        members: strings(members),
        invert_match: name == "foreign",
    };
    let as_path =
        |name: &str, expression: &str| v1::AsPath { name: name.to_owned(), expression: expression.to_owned() };
    let statement = |(number, terms)| v1::PolicyStatement { name: format!("P{number}"), terms };
    v1::PolicyOptions {
        prefix_lists: vec![list("customers", &["203.0.113.0/24", "2001:db8::/32"]), list("nobody", &[])],
        communities: vec![
            community("one", &["65000:1"]),
            community("two", &["65000:2"]),
            community("both", &["65000:1", "large:65000:1:1"]),
            community("hidden", &["no-export"]),
            community("many", &["65000:*", "target:*:*"]),
            community("foreign", &["65000:[0-9]+"]),
            community("colour", &["target:65000:1", "origin:65000:1"]),
        ],
        as_paths: vec![as_path("near", "65002 .*"), as_path("far", ".* 65003"), as_path("set", "65002 65003 2")],
        as_path_groups: vec![
            v1::AsPathGroup { name: "either".to_owned(), as_paths: vec![as_path("a", "1"), as_path("b", ".{3}")] },
            v1::AsPathGroup { name: "empty".to_owned(), as_paths: vec![] },
        ],
        statements: statements.into_iter().enumerate().map(statement).collect(),
    }
}

fn chain(statements: Vec<Vec<v1::PolicyTerm>>) -> Chain {
    let names: Vec<String> = (0..statements.len()).map(|number| format!("P{number}")).collect();
    PolicySet::compile(&options(statements)).unwrap().chain(&names).unwrap()
}

fn accepts(from: v1::PolicyMatch, route: &Route) -> bool {
    let chain = chain(vec![vec![term("t", from, then(Then::Accept))]]);
    chain.evaluate(route, Disposition::Reject, &mut Changes::default()) == Disposition::Accept
}
