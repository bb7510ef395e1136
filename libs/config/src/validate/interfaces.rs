//! `interfaces`: one address is on one interface.

use std::collections::HashMap;

use super::at;
use crate::{error::Problem, tree::View};

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    let mut owners: HashMap<&str, View<'_>> = HashMap::new();
    for interface in top.get("interfaces").into_iter().flat_map(View::children) {
        for unit in interface.all("unit") {
            let families = ["inet", "inet6"].into_iter().filter_map(|family| unit.at(&["family", family]));
            for address in families.flat_map(|family| family.all("address")) {
                let host = address.value().split('/').next().unwrap_or_default();
                if let Some(first) = owners.insert(host, address) {
                    let message = format!("the address {host} is configured twice, first at {}", first.span());
                    problems.push(at(address, message).allowed("each address on one interface"));
                }
            }
        }
    }
}
