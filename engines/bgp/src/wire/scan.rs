//! Judging the path attributes of an UPDATE, one by one (RFC 4271 §6.3 as revised by RFC 7606).

use super::as_path::{self, AsPath, AsWidth};
use super::attribute_block::{
    AttributeBlock, FLAG_OPTIONAL, FLAG_PARTIAL, FLAG_TRANSITIVE, WireAttribute, attributes, put_attribute,
    take_attribute,
};
use super::attributes::{aggregator_value, code};
use super::limits::AS_TRANS;
use super::negotiated::Negotiated;
use super::next_hop::NextHop;
use super::nlri;
use super::notification::NotificationMessage;
use holdfast_rib::Family;
use smallvec::SmallVec;
use std::net::Ipv4Addr;

/// What is to become of an attribute.
enum Verdict {
    /// Part of the canonical block.
    Keep,
    /// Understood or passed over; nothing wrong with it.
    Consume,
    /// RFC 7606 §2 "attribute discard".
    Discard(&'static str),
    /// RFC 7606 §2 "treat-as-withdraw". The subcode is for when nothing could be withdrawn.
    Withdraw(u8, &'static str),
}

/// An error that makes the announced routes withdrawn ones.
pub(crate) struct WithdrawReason {
    pub text: String,
    /// Sent if there is nothing to withdraw (RFC 7606 §5.2).
    pub notification: NotificationMessage,
}

/// MP_REACH_NLRI of one of our families.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub family: Family,
    pub next_hop: NextHop,
    pub nlri: &'a [u8],
}

/// What of the session's parameters judgement depends on.
#[derive(Clone, Copy)]
struct Rules {
    internal: bool,
    four_octet_as: bool,
    extended_next_hop: bool,
    families: [bool; 2],
    receives_paths: [bool; 2],
}

/// All attributes of an UPDATE after judgement.
pub(crate) struct Scan<'a> {
    session: Rules,
    width: AsWidth,
    /// One bit per type.
    seen: [u64; 4],
    /// What is kept, in the order in which it came.
    block: AttributeBlock,
    /// The highest type so far, and whether every one was higher than those before.
    last_code: u8,
    ascending: bool,
    aggregator: Option<&'a [u8]>,
    as4_path: Option<&'a [u8]>,
    as4_aggregator: Option<&'a [u8]>,
    pub next_hop: Option<Ipv4Addr>,
    pub reach: Option<Reach<'a>>,
    /// There is an MP_REACH_NLRI that announces something, whether the family is ours or not.
    pub reaches_any: bool,
    pub unreach: Option<(Family, &'a [u8])>,
    /// How many attributes there are.
    pub count: usize,
    pub withdraw: Option<WithdrawReason>,
    pub discarded: Vec<String>,
}

impl<'a> Scan<'a> {
    /// Judges every attribute. An error means: reset the session.
    #[inline]
    pub fn run(field: &'a [u8], session: &Negotiated) -> Result<Scan<'a>, NotificationMessage> {
        let mut scan = Scan {
            session: Rules {
                internal: session.internal,
                four_octet_as: session.four_octet_as,
                extended_next_hop: session.extended_next_hop,
                families: session.families,
                receives_paths: session.receives_paths,
            },
            width: AsWidth::of(session.four_octet_as),
            seen: [0; 4],
            block: AttributeBlock::new(),
            last_code: 0,
            ascending: true,
            aggregator: None,
            as4_path: None,
            as4_aggregator: None,
            next_hop: None,
            reach: None,
            reaches_any: false,
            unreach: None,
            count: 0,
            withdraw: None,
            discarded: Vec::new(),
        };
        let mut rest = field;
        while !rest.is_empty() {
            let Some(attribute) = take_attribute(&mut rest) else {
                scan.cut_off(rest)?;
                break;
            };
            scan.count += 1;
            scan.attribute(&attribute)?;
        }
        Ok(scan)
    }

    /// Was an attribute of this type there?
    pub fn has(&self, code: u8) -> bool {
        self.seen[usize::from(code >> 6)] & (1 << (code & 63)) != 0
    }

    /// Marks the routes as to be withdrawn. The first reason is kept.
    pub fn withdraw(&mut self, code: u8, reason: &str, notification: NotificationMessage) {
        if self.withdraw.is_none() {
            let text = format!("{} (type {code}): {reason}", code::name(code));
            self.withdraw = Some(WithdrawReason { text, notification });
        }
    }

    /// An attribute that reaches beyond the attributes' field (RFC 7606 §4). Where prefixes would be inside, they cannot be found.
    fn cut_off(&mut self, rest: &[u8]) -> Result<(), NotificationMessage> {
        let code = rest.get(1).copied().unwrap_or(0);
        if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
            return Err(NotificationMessage::optional_attribute_error(rest));
        }
        let notification = NotificationMessage::attribute_length_error(rest);
        self.withdraw(code, "longer than what is left of the path attributes", notification);
        Ok(())
    }

    #[inline]
    fn attribute(&mut self, attribute: &WireAttribute<'a>) -> Result<(), NotificationMessage> {
        let code = attribute.code;
        if self.has(code) {
            // RFC 7606 §3 g.
            if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
                return Err(NotificationMessage::malformed_attribute_list());
            }
            self.discard(code, "there twice; the first one counts");
            return Ok(());
        }
        self.seen[usize::from(code >> 6)] |= 1 << (code & 63);
        match self.judge(attribute)? {
            Verdict::Keep => self.keep(attribute),
            Verdict::Consume => {}
            Verdict::Discard(reason) => self.discard(code, reason),
            Verdict::Withdraw(subcode, reason) => {
                let notification = NotificationMessage::update_error(subcode, attribute.whole);
                self.withdraw(code, reason, notification);
            }
        }
        Ok(())
    }

    #[inline]
    fn keep(&mut self, attribute: &WireAttribute<'a>) {
        let code = attribute.code;
        self.ascending &= self.last_code <= code;
        self.last_code = code;
        let flags = match flags_of(code) {
            Some(flags) if flags == FLAG_OPTIONAL | FLAG_TRANSITIVE => flags | attribute.flags & FLAG_PARTIAL,
            Some(flags) => flags,
            // RFC 4271 §9: passed on by one who does not understand it.
            None => FLAG_OPTIONAL | FLAG_TRANSITIVE | FLAG_PARTIAL,
        };
        put_attribute(&mut self.block, flags, code, attribute.value);
    }

    fn discard(&mut self, code: u8, reason: &str) {
        self.discarded.push(format!("{} (type {code}): {reason}", code::name(code)));
    }

    #[inline]
    fn judge(&mut self, attribute: &WireAttribute<'a>) -> Result<Verdict, NotificationMessage> {
        let value = attribute.value;
        let Some(expected) = flags_of(attribute.code) else {
            return judge_unknown(attribute);
        };
        let flags_fit = attribute.flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE) == expected;
        let internal = self.session.internal;
        Ok(match attribute.code {
            // These leave the neighbour's AS only by mistake (RFC 7606 §7.5, §7.9, §7.10).
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST if !internal => {
                Verdict::Discard("not for external neighbors")
            }
            code::AS4_PATH => self.judge_as4_path(value),
            code::AS4_AGGREGATOR => self.judge_as4_aggregator(value),
            code::MP_REACH_NLRI => self.judge_reach(attribute, flags_fit)?,
            code::MP_UNREACH_NLRI => self.judge_unreach(attribute, flags_fit)?,
            // RFC 7606 §3 c.
            _ if !flags_fit => Verdict::Withdraw(4, WRONG_FLAGS),
            code::ORIGIN => judge_origin(value),
            code::AS_PATH => self.judge_as_path(value),
            code::NEXT_HOP => match <[u8; 4]>::try_from(value) {
                Ok(octets) => {
                    self.next_hop = Some(octets.into());
                    Verdict::Consume
                }
                Err(_) => Verdict::Withdraw(5, "length is not 4"),
            },
            // ONLY_TO_CUSTOMER: RFC 9234 §5.
            code::MULTI_EXIT_DISC | code::LOCAL_PREF | code::ORIGINATOR_ID | code::ONLY_TO_CUSTOMER => {
                keep_if(value.len() == 4, "length is not 4")
            }
            code::CLUSTER_LIST | code::COMMUNITIES => {
                keep_if(is_list_of(value, 4), "length is not a multiple of 4 above 0")
            }
            code::EXTENDED_COMMUNITIES => keep_if(is_list_of(value, 8), "length is not a multiple of 8 above 0"),
            // RFC 8092 §6.
            code::LARGE_COMMUNITIES => keep_if(is_list_of(value, 12), "length is not a multiple of 12 above 0"),
            code::ATOMIC_AGGREGATE if value.is_empty() => Verdict::Keep,
            code::ATOMIC_AGGREGATE => Verdict::Discard("length is not 0"),
            code::AGGREGATOR => self.judge_aggregator(value),
            _ => Verdict::Consume,
        })
    }

    fn judge_as_path(&self, value: &[u8]) -> Verdict {
        match as_path::check(value, self.width) {
            Err(reason) => Verdict::Withdraw(11, reason),
            // RFC 5065 §5: confederation segments end at the confederation's border.
            Ok(true) if !self.session.internal => {
                Verdict::Withdraw(11, "confederation segments from an external neighbor")
            }
            Ok(_) => Verdict::Keep,
        }
    }

    /// RFC 7606 §7.7, RFC 7607 §2.
    fn judge_aggregator(&mut self, value: &'a [u8]) -> Verdict {
        let asn_len = if self.session.four_octet_as { 4 } else { 2 };
        if value.len() != asn_len + 4 {
            Verdict::Discard("wrong length")
        } else if value[..asn_len].iter().all(|octet| *octet == 0) {
            Verdict::Discard("AS number 0")
        } else {
            self.aggregator = Some(value);
            Verdict::Keep
        }
    }

    /// RFC 6793 §4.1: not between two that know 4-octet AS numbers; §6: discarded if malformed.
    fn judge_as4_path(&mut self, value: &'a [u8]) -> Verdict {
        if self.session.four_octet_as {
            return Verdict::Discard("both sides know 4-octet AS numbers");
        }
        match as_path::check(value, AsWidth::Four) {
            Ok(_) if !value.is_empty() => {
                self.as4_path = Some(value);
                Verdict::Consume
            }
            Ok(_) => Verdict::Discard("empty"),
            Err(reason) => Verdict::Discard(reason),
        }
    }

    fn judge_as4_aggregator(&mut self, value: &'a [u8]) -> Verdict {
        if self.session.four_octet_as {
            return Verdict::Discard("both sides know 4-octet AS numbers");
        }
        if value.len() != 8 || value[..4] == [0; 4] {
            return Verdict::Discard("length is not 8, or AS number 0");
        }
        self.as4_aggregator = Some(value);
        Verdict::Consume
    }

    /// RFC 4760 §3, RFC 7606 §5.3, §7.11: whatever keeps us from finding the prefixes resets the session.
    fn judge_reach(&mut self, attribute: &WireAttribute<'a>, flags_fit: bool) -> Result<Verdict, NotificationMessage> {
        let error = || NotificationMessage::optional_attribute_error(attribute.whole);
        let &[a, b, safi, next_hop_len, ref rest @ ..] = attribute.value else {
            return Err(error());
        };
        let Some((next_hop, [_reserved, nlri @ ..])) = rest.split_at_checked(usize::from(next_hop_len)) else {
            return Err(error());
        };
        self.reaches_any = !nlri.is_empty();
        let Some(family) = Family::from_afi_safi(u16::from_be_bytes([a, b]), safi) else {
            return Ok(Verdict::Consume);
        };
        if !self.session.families[family.index()] {
            return Ok(Verdict::Consume);
        }
        let next_hop = NextHop::decode(next_hop).ok_or_else(error)?;
        let identified = self.session.receives_paths[family.index()];
        if !next_hop.fits(family, self.session.extended_next_hop) || !nlri::check(family, identified, nlri) {
            return Err(error());
        }
        self.reach = Some(Reach { family, next_hop, nlri });
        Ok(match next_hop.fault() {
            _ if !flags_fit => Verdict::Withdraw(4, WRONG_FLAGS),
            Some(fault) => Verdict::Withdraw(8, fault),
            None => Verdict::Consume,
        })
    }

    fn judge_unreach(
        &mut self,
        attribute: &WireAttribute<'a>,
        flags_fit: bool,
    ) -> Result<Verdict, NotificationMessage> {
        let error = || NotificationMessage::optional_attribute_error(attribute.whole);
        let &[a, b, safi, ref nlri @ ..] = attribute.value else {
            return Err(error());
        };
        let family = Family::from_afi_safi(u16::from_be_bytes([a, b]), safi);
        if let Some(family) = family.filter(|family| self.session.families[family.index()]) {
            if !nlri::check(family, self.session.receives_paths[family.index()], nlri) {
                return Err(error());
            }
            self.unreach = Some((family, nlri));
        }
        Ok(if flags_fit { Verdict::Consume } else { Verdict::Withdraw(4, WRONG_FLAGS) })
    }

    /// The canonical form of what was kept.
    pub fn block(&mut self) -> AttributeBlock {
        if self.width == AsWidth::Two {
            self.widen();
        }
        if !self.ascending {
            self.block = sorted(&self.block);
        }
        std::mem::take(&mut self.block)
    }

    /// AS numbers of an old speaker become four octets long, and AS4_* are worked in (RFC 6793 §4.2.3).
    fn widen(&mut self) {
        let mut wide = AttributeBlock::new();
        for attribute in attributes(&self.block).map_while(Result::ok) {
            let WireAttribute { flags, code, value, .. } = attribute;
            match code {
                code::AS_PATH => {
                    let mut path = AttributeBlock::new();
                    self.four_octet_path(value).encode(&mut path, AsWidth::Four);
                    put_attribute(&mut wide, flags, code, &path);
                }
                code::AGGREGATOR => put_attribute(&mut wide, flags, code, &self.four_octet_aggregator(value)),
                _ => put_attribute(&mut wide, flags, code, value),
            }
        }
        self.block = wide;
    }

    /// RFC 6793 §4.2.3: an AGGREGATOR that is not AS_TRANS says that AS4_* are left over from somewhere else.
    fn as4_counts(&self) -> bool {
        self.as4_aggregator.is_none() || self.aggregator.is_none_or(|value| value.starts_with(&AS_TRANS.to_be_bytes()))
    }

    fn four_octet_path(&self, value: &[u8]) -> AsPath {
        let path = AsPath::decode(value, AsWidth::Two);
        match self.as4_path.filter(|_| self.as4_counts()) {
            Some(as4) => path.merged_with_as4(AsPath::decode(as4, AsWidth::Four)),
            None => path,
        }
    }

    fn four_octet_aggregator(&self, value: &[u8]) -> [u8; 8] {
        let counted = self.as4_aggregator.filter(|_| self.as4_counts());
        if let Some(as4) = counted.and_then(|value| value.first_chunk::<8>()) {
            return *as4;
        }
        match *value {
            [a, b, c, d, e, f] => aggregator_value(u32::from(u16::from_be_bytes([a, b])), Ipv4Addr::new(c, d, e, f)),
            _ => [0; 8], // its length was checked
        }
    }
}

/// The same attributes, ascending by type.
fn sorted(block: &[u8]) -> AttributeBlock {
    let mut list: SmallVec<[WireAttribute<'_>; 16]> = attributes(block).map_while(Result::ok).collect();
    list.sort_by_key(|attribute| attribute.code);
    list.iter().flat_map(|attribute| attribute.whole.iter().copied()).collect()
}

const WRONG_FLAGS: &str = "attribute flags contradict the type";

/// Optional and Transitive as the definition wants them; `None`: not a type that we know.
const fn flags_of(code: u8) -> Option<u8> {
    Some(match code {
        code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => FLAG_TRANSITIVE,
        code::MULTI_EXIT_DISC
        | code::ORIGINATOR_ID
        | code::CLUSTER_LIST
        | code::MP_REACH_NLRI
        | code::MP_UNREACH_NLRI => FLAG_OPTIONAL,
        code::AGGREGATOR
        | code::COMMUNITIES
        | code::EXTENDED_COMMUNITIES
        | code::AS4_PATH
        | code::AS4_AGGREGATOR
        | code::ONLY_TO_CUSTOMER
        | code::LARGE_COMMUNITIES => FLAG_OPTIONAL | FLAG_TRANSITIVE,
        _ => return None,
    })
}

/// RFC 4271 §5, §6.3.
fn judge_unknown(attribute: &WireAttribute<'_>) -> Result<Verdict, NotificationMessage> {
    if attribute.flags & FLAG_OPTIONAL == 0 {
        return Err(NotificationMessage::unrecognized_well_known_attribute(attribute.whole));
    }
    Ok(if attribute.flags & FLAG_TRANSITIVE != 0 { Verdict::Keep } else { Verdict::Consume })
}

fn judge_origin(value: &[u8]) -> Verdict {
    match value {
        [0..=2] => Verdict::Keep,
        [_] => Verdict::Withdraw(6, "neither IGP, EGP nor INCOMPLETE"),
        _ => Verdict::Withdraw(5, "length is not 1"),
    }
}

fn keep_if(fits: bool, otherwise: &'static str) -> Verdict {
    if fits { Verdict::Keep } else { Verdict::Withdraw(5, otherwise) }
}

fn is_list_of(value: &[u8], octets: usize) -> bool {
    !value.is_empty() && value.len().is_multiple_of(octets)
}
