//! What terms refer to by name.

use crate::as_path::AsPathExpression;
use crate::community::{COMMUNITY_REQUIRED, CommunityValues, parse};
use crate::error::PolicyError;
use crate::prefixes::PrefixSet;
use hashbrown::HashMap;
use holdfast_proto::v1;
use ipnet::IpNet;
use std::sync::Arc;

/// Named lists, compiled.
#[derive(Default)]
pub(super) struct Lists {
    pub prefix_lists: HashMap<String, Arc<PrefixSet>>,
    pub communities: HashMap<String, Arc<CommunityValues>>,
    pub as_paths: HashMap<String, Arc<AsPathExpression>>,
    pub as_path_groups: HashMap<String, Arc<Vec<Arc<AsPathExpression>>>>,
}

impl Lists {
    pub fn compile(options: &v1::PolicyOptions) -> Result<Lists, PolicyError> {
        let mut lists = Lists::default();
        for list in &options.prefix_lists {
            insert(&mut lists.prefix_lists, "prefix-list", &list.name, prefix_list(list)?)?;
        }
        for list in &options.communities {
            insert(&mut lists.communities, "community", &list.name, community_list(list)?)?;
        }
        for path in &options.as_paths {
            insert(&mut lists.as_paths, "as-path", &path.name, as_path(path, format!("as-path {}", path.name))?)?;
        }
        for group in &options.as_path_groups {
            let place = |path: &v1::AsPath| format!("as-path-group {} as-path {}", group.name, path.name);
            let members = group.as_paths.iter().map(|path| as_path(path, place(path)).map(Arc::new));
            let members = members.collect::<Result<Vec<_>, _>>()?;
            insert(&mut lists.as_path_groups, "as-path-group", &group.name, members)?;
        }
        Ok(lists)
    }
}

fn insert<T>(map: &mut HashMap<String, Arc<T>>, kind: &'static str, name: &str, value: T) -> Result<(), PolicyError> {
    match map.insert(name.to_owned(), Arc::new(value)) {
        None => Ok(()),
        Some(_) => Err(PolicyError::Duplicate { kind, name: name.to_owned() }),
    }
}

fn prefix_list(list: &v1::PrefixList) -> Result<PrefixSet, PolicyError> {
    let place = || format!("prefix-list {}", list.name);
    list.prefixes.iter().map(|text| prefix(text, place)).collect()
}

pub(super) fn prefix(text: &str, place: impl Fn() -> String) -> Result<IpNet, PolicyError> {
    let invalid = || PolicyError::Invalid {
        place: place(),
        what: "prefix",
        observed: text.to_owned(),
        required: "ADDRESS/LENGTH, such as 10.0.0.0/8 or 2001:db8::/32".into(),
    };
    text.parse::<IpNet>().map(|prefix| prefix.trunc()).map_err(|_| invalid())
}

fn as_path(path: &v1::AsPath, place: String) -> Result<AsPathExpression, PolicyError> {
    AsPathExpression::parse(&path.expression).map_err(|error| PolicyError::Invalid {
        place,
        what: "expression",
        observed: path.expression.clone(),
        required: error.to_string().into(),
    })
}

/// A list without members would match everything; nobody means that.
fn community_list(list: &v1::CommunityList) -> Result<CommunityValues, PolicyError> {
    let mut values = CommunityValues { inverted: list.invert_match, ..CommunityValues::default() };
    let invalid = |what, observed: &str, required: String| PolicyError::Invalid {
        place: format!("community {}", list.name),
        what,
        observed: observed.to_owned(),
        required: required.into(),
    };
    for member in &list.members {
        values
            .push(parse(member).map_err(|error| invalid("member", member, format!("{COMMUNITY_REQUIRED} ({error})")))?);
    }
    if list.members.is_empty() {
        return Err(invalid("list of members", "", "at least one member".to_owned()));
    }
    Ok(values)
}
