//! `show forwarding-table differences`, `request forwarding-table mend`.

use holdfast_proto::v1::{ForwardingComparison, ForwardingDifference, ForwardingEntry};

use super::forwarding::hops;
use crate::commands::Mended;

/// `show forwarding-table differences`
pub fn differences(comparison: &ForwardingComparison) -> String {
    let mut out = heading(comparison);
    out.push_str(&comparison.differences.iter().map(difference).collect::<String>());
    if comparison.left_out > 0 {
        out.push_str(&format!("... and {} more\n", comparison.left_out));
    }
    out
}

fn heading(comparison: &ForwardingComparison) -> String {
    let who = if comparison.rib_known { "RIB, FIB and kernel" } else { "FIB and kernel" };
    let verdict = match comparison.different {
        0 => "no difference".to_owned(),
        1 => "1 destination differs".to_owned(),
        many => format!("{many} destinations differ"),
    };
    let mut out = format!(
        "{who}: {} IPv4 and {} IPv6 destinations compared in {} ms, {verdict}\n",
        comparison.compared_ipv4, comparison.compared_ipv6, comparison.took_ms
    );
    if comparison.hidden > 0 {
        out.push_str(&format!("Hidden by better routes of somebody else's: {}\n", comparison.hidden));
    }
    if comparison.unsettled > 0 {
        out.push_str(&format!("Changing while they were compared, and not counted: {}\n", comparison.unsettled));
    }
    if !comparison.note.is_empty() {
        out.push_str(&format!("Note: {}\n", comparison.note));
    }
    out
}

fn difference(difference: &ForwardingDifference) -> String {
    let noticed = if difference.noticed { "" } else { " (not noticed)" };
    // All is where it should be there: what is different is not.
    let noticed = if matches!(difference.kind.as_str(), "hidden" | "not-told") { "" } else { noticed };
    format!(
        "{}: {}{noticed}\n    RIB     {}\n    FIB     {}\n    Kernel  {}\n",
        difference.prefix,
        difference.reason,
        column(difference.rib.as_ref()),
        column(difference.fib.as_ref()),
        column(difference.kernel.as_ref()),
    )
}

fn column(entry: Option<&ForwardingEntry>) -> String {
    let Some(entry) = entry else { return "-".to_owned() };
    let way = if entry.next_hops.is_empty() { entry.kind.clone() } else { hops(entry) };
    if entry.nexthop_object > 0 { format!("{way} (object {:#x})", entry.nexthop_object) } else { way }
}

/// `request forwarding-table mend`
pub fn mended(mended: &Mended) -> String {
    let Some(reply) = &mended.mended else {
        return differences(&mended.left) + "Nothing to mend\n";
    };
    let destinations = if mended.found == 1 { "destination" } else { "destinations" };
    let mut out = format!(
        "{} {destinations} differed; the kernel was read again and {} changes written in {} ms, {} of them refused\n",
        mended.found, reply.writes, reply.took_ms, reply.errors
    );
    if !reply.last_error.is_empty() {
        out.push_str(&format!("Last refusal: {}\n", reply.last_error));
    }
    out + &differences(&mended.left)
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::{ForwardingNexthop, MendForwardingReply};

    use super::*;

    fn entry(gateway: &str, nexthop_object: u32) -> Option<ForwardingEntry> {
        let hop =
            ForwardingNexthop { gateway: gateway.into(), interface: "eth0".into(), weight: 1, ..Default::default() };
        let kind = "unicast".into();
        Some(ForwardingEntry { kind, next_hops: vec![hop], nexthop_object, ..Default::default() })
    }

    fn one_elsewhere() -> ForwardingComparison {
        let elsewhere = ForwardingDifference {
            prefix: "10.1.0.0/16".into(),
            kind: "elsewhere".into(),
            reason: "the kernel's route leads elsewhere".into(),
            rib: entry("10.0.0.2", 0),
            fib: entry("10.0.0.2", 0),
            kernel: entry("10.0.0.3", 0x4800_0001),
            noticed: false,
        };
        ForwardingComparison {
            compared_ipv4: 7,
            took_ms: 12,
            rib_known: true,
            different: 3,
            left_out: 2,
            unsettled: 1,
            differences: vec![elsewhere],
            ..Default::default()
        }
    }

    #[test]
    fn three_columns_for_a_destination() {
        assert_eq!(
            differences(&one_elsewhere()),
            "RIB, FIB and kernel: 7 IPv4 and 0 IPv6 destinations compared in 12 ms, 3 destinations differ\n\
             Changing while they were compared, and not counted: 1\n\
             10.1.0.0/16: the kernel's route leads elsewhere (not noticed)\n\
             \x20   RIB     10.0.0.2 via eth0\n\
             \x20   FIB     10.0.0.2 via eth0\n\
             \x20   Kernel  10.0.0.3 via eth0 (object 0x48000001)\n\
             ... and 2 more\n"
        );
    }

    #[test]
    fn nothing_wrong_is_said() {
        let equal =
            ForwardingComparison { compared_ipv4: 1, note: "the RIB was not compared: x".into(), ..Default::default() };
        let text = mended(&Mended { found: 0, mended: None, left: equal.clone() });
        assert!(text.starts_with("FIB and kernel: 1 IPv4") && text.contains("no difference\nNote: the RIB"), "{text}");
        assert!(text.ends_with("Nothing to mend\n"), "{text}");
        let reply = MendForwardingReply { writes: 2, took_ms: 5, errors: 1, last_error: "route x: no".into() };
        let text = mended(&Mended { found: 2, mended: Some(reply), left: equal });
        assert!(
            text.starts_with("2 destinations differed; the kernel was read again and 2 changes written in 5 ms, 1 of"),
            "{text}"
        );
        assert!(text.contains("Last refusal: route x: no\nFIB and kernel"), "{text}");
    }
}
