//! `bfd-liveness-detection`, wherever it stands.

use holdfast_proto::v1::BfdLiveness;

use crate::tree::View;

/// Junos' default.
const MULTIPLIER_DEFAULT: u32 = 3;

/// The session that a statement asks for. `far`: several hops, unless stated.
pub(super) fn liveness(stated: View<'_>, far: bool) -> BfdLiveness {
    let us = |name: &str| stated.number(name).map(|milliseconds| milliseconds * 1000);
    let minimum_transmit_us = us("minimum-interval").unwrap_or_default();
    let authentication = stated.get("authentication");
    let text = |name: &str| authentication.and_then(|stated| stated.text(name)).unwrap_or_default().to_owned();
    BfdLiveness {
        minimum_transmit_us,
        minimum_receive_us: us("minimum-receive-interval").unwrap_or(minimum_transmit_us),
        multiplier: stated.number("multiplier").unwrap_or(MULTIPLIER_DEFAULT),
        multihop: match stated.text("session-mode") {
            Some("single-hop") => false,
            Some("multihop") => true,
            _ => far,
        },
        algorithm: text("algorithm"),
        key_id: authentication.and_then(|stated| stated.number("key-id")).unwrap_or(0),
        key: text("key"),
        minimum_ttl: stated.number("minimum-ttl").unwrap_or_default(),
    }
}
