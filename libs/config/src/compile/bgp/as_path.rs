//! AS numbers in AS paths: which of ours are shown, which of others are not.

use holdfast_proto::v1::bgp_neighbor_config::RemovePrivate;

use super::Levels;

pub(super) struct AsPathRules {
    /// Shown behind `local-as` in what is sent; 0: nothing.
    pub shown_behind: u32,
    /// Put before what is received; 0: nothing.
    pub received_behind: u32,
    pub remove_private: RemovePrivate,
    pub replace_private: bool,
}

impl AsPathRules {
    pub fn of(router_as: Option<u32>, levels: Levels<'_>, internal: bool) -> Self {
        let remove = levels.nearest("remove-private");
        let remove_private = match remove {
            Some(remove) if remove.has("all") => RemovePrivate::All,
            Some(_) => RemovePrivate::Leading,
            None => RemovePrivate::No,
        };
        let mut rules = Self {
            shown_behind: 0,
            received_behind: 0,
            remove_private,
            replace_private: remove.is_some_and(|remove| remove.has("replace")),
        };
        let other = levels.nearest("local-as").filter(|local| !internal && local.value().parse().ok() != router_as);
        if let Some(local) = other {
            if !local.has("replace-as") {
                rules.shown_behind = router_as.unwrap_or(0);
            }
            if !local.has("no-prepend") && !local.has("private") {
                rules.received_behind = local.value().parse().unwrap_or(0);
            }
        }
        rules
    }
}
