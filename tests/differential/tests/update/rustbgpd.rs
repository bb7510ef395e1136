//! How `rustbgpd-wire` reads it.

use bytes::Bytes;
use holdfast_bgp::wire::Negotiated;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustbgpd_wire::validate::validate_update_attributes;
use rustbgpd_wire::{Afi, AsPathSegment, MAX_MESSAGE_LEN, Message, PathAttribute, Prefix, Safi, decode_message};

use super::meaning::{Attributes, Meaning, Path, meant};

/// Decoded, without an attribute that it recovered from, and valid.
pub fn read(wire: &[u8], session: &Negotiated) -> Option<Meaning> {
    let mut buffer = Bytes::copy_from_slice(wire);
    let Message::Update(message) = decode_message(&mut buffer, MAX_MESSAGE_LEN).ok()? else { return None };
    if !buffer.is_empty() {
        return None;
    }
    let parsed = message.parse_revised(session.four_octet_as, session.internal, false, &[]).ok()?;
    if !parsed.malformed.is_empty() {
        return None;
    }
    let update = parsed.update;
    let mut meaning = Meaning::default();
    meaning.announced[0] = update.announced.iter().filter_map(|entry| net(Prefix::V4(entry.prefix))).collect();
    meaning.withdrawn[0] = update.withdrawn.iter().filter_map(|entry| net(Prefix::V4(entry.prefix))).collect();
    let classic = !update.announced.is_empty();
    let reaches = |attribute: &PathAttribute| matches!(attribute, PathAttribute::MpReachNlri(_));
    let has_nlri = classic || update.attributes.iter().any(reaches);
    validate_update_attributes(&update.attributes, has_nlri, classic, !session.internal).ok()?;
    let mut attributes = Attributes::default();
    for attribute in &update.attributes {
        take(attribute, &mut meaning, &mut attributes, classic);
    }
    meaning.attributes = Some(attributes);
    Some(meaning)
}

fn net(prefix: Prefix) -> Option<IpNet> {
    match prefix {
        Prefix::V4(prefix) => Some(IpNet::V4(Ipv4Net::new(prefix.addr, prefix.len).ok()?)),
        Prefix::V6(prefix) => Some(IpNet::V6(Ipv6Net::new(prefix.addr, prefix.len).ok()?)),
    }
}

fn family(afi: Afi, safi: Safi) -> Option<usize> {
    match (afi, safi) {
        (Afi::Ipv4, Safi::Unicast) => Some(0),
        (Afi::Ipv6, Safi::Unicast) => Some(1),
        _ => None,
    }
}

fn take(attribute: &PathAttribute, meaning: &mut Meaning, attributes: &mut Attributes, classic: bool) {
    match attribute {
        PathAttribute::Origin(origin) => attributes.origin = Some(*origin as u8),
        PathAttribute::AsPath(path) => attributes.as_path = Some(segments(&path.segments)),
        PathAttribute::NextHop(address) if classic => meaning.next_hops[0] = Some((*address).into()),
        PathAttribute::Med(med) => attributes.med = Some(*med),
        PathAttribute::LocalPref(preference) => attributes.local_pref = Some(*preference),
        PathAttribute::AtomicAggregate => attributes.atomic_aggregate = true,
        PathAttribute::Aggregator(aggregator) => {
            attributes.aggregator = Some((aggregator.asn, aggregator.router_id));
        }
        PathAttribute::Communities(list) | PathAttribute::CommunitiesPartial(list) => {
            attributes.communities.clone_from(list);
        }
        PathAttribute::ExtendedCommunities(list) | PathAttribute::ExtendedCommunitiesPartial(list) => {
            attributes.extended_communities = list.len();
        }
        PathAttribute::LargeCommunities(list) | PathAttribute::LargeCommunitiesPartial(list) => {
            attributes.large_communities =
                list.iter().map(|large| [large.global_admin, large.local_data1, large.local_data2]).collect();
        }
        PathAttribute::OriginatorId(id) => attributes.originator_id = Some(*id),
        PathAttribute::ClusterList(list) => attributes.cluster_list.clone_from(list),
        PathAttribute::MpReachNlri(reach) => {
            let Some(family) = family(reach.afi, reach.safi) else { return };
            meaning.announced[family].extend(reach.announced.iter().filter_map(|entry| net(entry.prefix)));
            meaning.next_hops[family].get_or_insert(meant(reach.next_hop, reach.link_local_next_hop));
        }
        PathAttribute::MpUnreachNlri(unreach) => {
            let Some(family) = family(unreach.afi, unreach.safi) else { return };
            meaning.withdrawn[family].extend(unreach.withdrawn.iter().filter_map(|entry| net(entry.prefix)));
        }
        _ => {}
    }
}

fn segments(segments: &[AsPathSegment]) -> Path {
    let segment = |segment: &AsPathSegment| match segment {
        AsPathSegment::AsSet(asns) => (1, asns.clone()),
        AsPathSegment::AsSequence(asns) => (2, asns.clone()),
    };
    segments.iter().map(segment).collect()
}
