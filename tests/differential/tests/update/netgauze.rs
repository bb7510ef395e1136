//! How `netgauze-bgp-pkt` reads it.

use std::collections::HashMap;
use std::net::IpAddr;

use holdfast_bgp::wire::Negotiated;
use ipnet::IpNet;
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::nlri::{Ipv4UnicastAddress, Ipv6UnicastAddress};
use netgauze_bgp_pkt::path_attribute::{Aggregator, AsPath, MpReach, MpUnreach, PathAttributeValue};
use netgauze_bgp_pkt::wire::deserializer::{BgpParsingContext, BgpParsingIgnoredErrors};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

use super::meaning::{Attributes, Meaning, Path, meant};

/// Parsed, with nothing passed over.
pub fn read(wire: &[u8], session: &Negotiated) -> Option<Meaning> {
    let mut context =
        BgpParsingContext::new(session.four_octet_as, HashMap::new(), HashMap::new(), true, true, true, true);
    let mut reader = SliceReader::new(wire);
    let BgpMessage::Update(update) = BgpMessage::parse(&mut reader, &mut context).ok()? else { return None };
    if !reader.is_empty() || *context.parsing_errors() != BgpParsingIgnoredErrors::default() {
        return None;
    }
    let mut meaning = Meaning::default();
    meaning.announced[0] = v4(update.nlri());
    meaning.withdrawn[0] = v4(update.withdraw_routes());
    let classic = !update.nlri().is_empty();
    let mut attributes = Attributes::default();
    for attribute in update.path_attributes() {
        take(attribute.value(), &mut meaning, &mut attributes, classic);
    }
    // RFC 4271 §5.1, RFC 7606 §3 d: which attributes an announcement cannot do without is its caller's to check.
    let announces = meaning.announced.iter().any(|prefixes| !prefixes.is_empty());
    let lacks = attributes.origin.is_none()
        || attributes.as_path.is_none()
        || session.internal && attributes.local_pref.is_none()
        || classic && meaning.next_hops[0].is_none();
    if announces && lacks {
        return None;
    }
    meaning.attributes = Some(attributes);
    Some(meaning)
}

fn v4(prefixes: &[Ipv4UnicastAddress]) -> Vec<IpNet> {
    prefixes.iter().map(|address| IpNet::V4(address.network().address())).collect()
}

fn v6(prefixes: &[Ipv6UnicastAddress]) -> Vec<IpNet> {
    prefixes.iter().map(|address| IpNet::V6(address.network().address())).collect()
}

fn take(value: &PathAttributeValue, meaning: &mut Meaning, attributes: &mut Attributes, classic: bool) {
    match value {
        PathAttributeValue::Origin(origin) => attributes.origin = Some((*origin).into()),
        PathAttributeValue::AsPath(path) => attributes.as_path = Some(segments(path)),
        PathAttributeValue::NextHop(next_hop) if classic => {
            meaning.next_hops[0] = Some(IpAddr::V4(next_hop.next_hop()));
        }
        PathAttributeValue::MultiExitDiscriminator(med) => attributes.med = Some(med.metric()),
        PathAttributeValue::LocalPreference(preference) => attributes.local_pref = Some(preference.metric()),
        PathAttributeValue::AtomicAggregate(_) => attributes.atomic_aggregate = true,
        PathAttributeValue::Aggregator(Aggregator::As2Aggregator(aggregator)) => {
            attributes.aggregator = Some((u32::from(*aggregator.asn()), aggregator.origin()));
        }
        PathAttributeValue::Aggregator(Aggregator::As4Aggregator(aggregator)) => {
            attributes.aggregator = Some((*aggregator.asn(), aggregator.origin()));
        }
        PathAttributeValue::Communities(list) => {
            attributes.communities = list.communities().iter().map(|community| community.value()).collect();
        }
        PathAttributeValue::ExtendedCommunities(list) => attributes.extended_communities = list.communities().len(),
        PathAttributeValue::LargeCommunities(list) => {
            let words = |large: &netgauze_bgp_pkt::community::LargeCommunity| {
                [large.global_admin(), large.local_data1(), large.local_data2()]
            };
            attributes.large_communities = list.communities().iter().map(words).collect();
        }
        PathAttributeValue::Originator(id) => attributes.originator_id = Some(id.id()),
        PathAttributeValue::ClusterList(list) => {
            attributes.cluster_list = list.cluster_list().iter().map(|cluster| cluster.id()).collect();
        }
        PathAttributeValue::MpReach(MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri }) => {
            meaning.announced[0].extend(v4(nlri));
            meaning.next_hops[0].get_or_insert(meant(*next_hop, *next_hop_local));
        }
        PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri }) => {
            meaning.announced[1].extend(v6(nlri));
            meaning.next_hops[1].get_or_insert(meant(IpAddr::V6(*next_hop_global), *next_hop_local));
        }
        PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => meaning.withdrawn[0].extend(v4(nlri)),
        PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => meaning.withdrawn[1].extend(v6(nlri)),
        _ => {}
    }
}

fn segments(path: &AsPath) -> Path {
    match path {
        AsPath::As2PathSegments(segments) => segments
            .iter()
            .map(|segment| {
                let asns = segment.as_numbers().iter().map(|asn| u32::from(*asn)).collect();
                (segment.segment_type().into(), asns)
            })
            .collect(),
        AsPath::As4PathSegments(segments) => {
            segments.iter().map(|segment| (segment.segment_type().into(), segment.as_numbers().to_vec())).collect()
        }
    }
}
