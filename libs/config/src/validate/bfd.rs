//! `bfd-liveness-detection`: an interval, a whole key, and a single hop where no router passes packets on.

use super::{at, lacks};
use crate::{error::Problem, tree::View};

/// RFC 5880 §6.7.4.
const KEY_OCTETS_MAX: usize = 20;

/// The statement of this place, if it has one.
pub(super) fn validate(place: View<'_>, problems: &mut Vec<Problem>) {
    let Some(stated) = place.get("bfd-liveness-detection") else { return };
    if !stated.has("minimum-interval") {
        let problem = lacks(stated, "minimum-interval", "how often packets are sent is not stated");
        problems.push(problem.allowed("minimum-interval 10..255000, in milliseconds"));
    }
    let Some(authentication) = stated.get("authentication") else { return };
    for name in ["algorithm", "key-id", "key"] {
        if !authentication.has(name) {
            let problem = lacks(authentication, name, format!("authentication without {name}"));
            problems.push(problem.allowed("algorithm, key-id and key"));
        }
    }
    if let Some(key) = authentication.get("key").filter(|key| key.value().len() > KEY_OCTETS_MAX) {
        let message = format!("a key of {} octets", key.value().len());
        problems.push(at(key, message).allowed(format!("1 to {KEY_OCTETS_MAX} octets (RFC 5880 section 6.7.4)")));
    }
}
