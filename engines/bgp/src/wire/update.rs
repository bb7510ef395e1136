//! UPDATE (RFC 4271 §4.3), judged by RFC 4271 §6.3 as revised by RFC 7606.

use super::attribute_block::AttributeBlock;
use super::attributes::code;
use super::limits::ATTRIBUTES_MAX_LEN;
use super::negotiated::Negotiated;
use super::next_hop::NextHop;
use super::nlri::{self, NlriIter};
use super::notification::NotificationMessage;
use super::scan::{Reach, Scan};
use holdfast_rib::Family;

/// An UPDATE that borrows the message's body.
///
/// Routes of families that the session does not carry are not there (RFC 4760 §7).
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// Path attributes of the announced routes; `None`: none are announced, or they are withdrawn by
    /// [`Update::treat_as_withdraw`].
    pub attributes: Option<AttributeBlock>,
    /// The announced routes are to be withdrawn, and why (RFC 7606 §2).
    pub treat_as_withdraw: Option<String>,
    /// Attributes that were left out, and why (RFC 7606 §2 "attribute discard").
    pub discarded: Vec<String>,
    withdrawn: Fields<'a>,
    announced: Fields<'a>,
    next_hops: [Option<NextHop>; 2],
    end_of_rib: Option<Family>,
}

/// Where the prefixes of each family lie: the message's own field, and that of the multiprotocol attribute.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a> {
    classic: &'a [u8],
    multiprotocol: [&'a [u8]; 2],
    /// Prefixes stand behind the identifiers of their paths.
    identified: [bool; 2],
}

impl<'a> Fields<'a> {
    fn iter(&self, family: Family) -> NlriIter<'a> {
        let classic = if family.is_classic() { self.classic } else { &[] };
        NlriIter::new(family, self.identified[family.index()], classic, self.multiprotocol[family.index()])
    }

    fn is_empty(&self) -> bool {
        self.classic.is_empty() && self.multiprotocol.iter().all(|field| field.is_empty())
    }
}

/// The three parts of a body.
struct Body<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

impl<'a> Body<'a> {
    /// RFC 4271 §6.3: lengths that contradict the message's are a Malformed Attribute List; prefixes that cannot be read
    /// an Invalid Network Field. Neither can be treated as a withdrawal (RFC 7606 §3 b, §5.3).
    fn split(body: &'a [u8], identified: bool) -> Result<Body<'a>, NotificationMessage> {
        let malformed = NotificationMessage::malformed_attribute_list;
        let (withdrawn, rest) = take_field(body).ok_or_else(malformed)?;
        let (attributes, nlri) = take_field(rest).ok_or_else(malformed)?;
        let readable = |field| nlri::check(Family::Ipv4Unicast, identified, field);
        if !readable(withdrawn) || !readable(nlri) {
            return Err(NotificationMessage::invalid_network_field());
        }
        Ok(Body { withdrawn, attributes, nlri })
    }

    fn is_empty(&self) -> bool {
        self.withdrawn.is_empty() && self.attributes.is_empty() && self.nlri.is_empty()
    }
}

/// A length of two octets and what it counts.
fn take_field(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

impl<'a> Update<'a> {
    /// Reads a message's body. An error means: reset the session with this NOTIFICATION.
    pub fn parse(body: &'a [u8], session: &Negotiated) -> Result<Update<'a>, NotificationMessage> {
        let identified = session.receives_paths;
        let body = Body::split(body, identified[Family::Ipv4Unicast.index()])?;
        let ipv4 = session.carries(Family::Ipv4Unicast);
        let mut update = Update {
            attributes: None,
            treat_as_withdraw: None,
            discarded: Vec::new(),
            withdrawn: Fields { identified, ..Fields::default() },
            announced: Fields { identified, ..Fields::default() },
            next_hops: [None; 2],
            end_of_rib: None,
        };
        if ipv4 {
            update.withdrawn.classic = body.withdrawn;
            update.announced.classic = body.nlri;
            update.end_of_rib = body.is_empty().then_some(Family::Ipv4Unicast);
        }
        if !body.attributes.is_empty() || !body.nlri.is_empty() {
            update.read_attributes(&body, session)?;
        }
        Ok(update)
    }

    fn read_attributes(&mut self, body: &Body<'a>, session: &Negotiated) -> Result<(), NotificationMessage> {
        let mut scan = Scan::run(body.attributes, session)?;
        if let Some((family, nlri)) = scan.unreach {
            self.withdrawn.multiprotocol[family.index()] = nlri;
            let alone = scan.count == 1 && body.withdrawn.is_empty() && body.nlri.is_empty();
            self.end_of_rib = (alone && nlri.is_empty()).then_some(family);
        }
        if let Some(Reach { family, next_hop, nlri }) = scan.reach {
            self.announced.multiprotocol[family.index()] = nlri;
            self.next_hops[family.index()] = Some(next_hop);
        }
        let reaches = scan.reaches_any || !body.nlri.is_empty();
        if reaches {
            check_mandatory(&mut scan, session, !body.nlri.is_empty());
        }
        if !body.nlri.is_empty() {
            self.take_next_hop(&mut scan);
        }
        self.discarded = std::mem::take(&mut scan.discarded);
        match scan.withdraw.take() {
            // RFC 7606 §5.2: the prefixes may be in what could not be read.
            Some(reason) if !reaches => return Err(reason.notification),
            Some(reason) => self.treat_as_withdraw = Some(reason.text),
            None if self.announced.is_empty() => {}
            None => self.take_block(scan.block()),
        }
        Ok(())
    }

    /// What could not be told on in one message, not even to a follower, is no route.
    fn take_block(&mut self, block: AttributeBlock) {
        if block.len() > ATTRIBUTES_MAX_LEN {
            let octets = block.len();
            self.treat_as_withdraw =
                Some(format!("path attributes of {octets} octets, {ATTRIBUTES_MAX_LEN} is the most"));
        } else {
            self.attributes = Some(block);
        }
    }

    /// NEXT_HOP of the prefixes in the message's own field; one that no router can have withdraws them.
    fn take_next_hop(&mut self, scan: &mut Scan<'_>) {
        let Some(address) = scan.next_hop else { return };
        let next_hop = NextHop::V4(address);
        let slot = &mut self.next_hops[Family::Ipv4Unicast.index()];
        let contradicted = slot.is_some_and(|other| other != next_hop);
        *slot = Some(next_hop);
        let fault = match next_hop.fault() {
            Some(fault) => fault,
            None if contradicted => "differs from that of MP_REACH_NLRI for the same family",
            None => return,
        };
        let notification = NotificationMessage::invalid_next_hop(&address.octets());
        scan.withdraw(code::NEXT_HOP, &format!("{address}: {fault}"), notification);
    }

    /// Prefixes withdrawn, from both places where they can be.
    pub fn withdrawn(&self, family: Family) -> NlriIter<'a> {
        self.withdrawn.iter(family)
    }

    /// Prefixes announced, from both places; to be withdrawn when [`Update::treat_as_withdraw`] is set.
    pub fn announced(&self, family: Family) -> NlriIter<'a> {
        self.announced.iter(family)
    }

    /// The next hop of the family's announced prefixes.
    pub fn next_hop(&self, family: Family) -> Option<NextHop> {
        self.next_hops[family.index()]
    }

    /// The family all of whose routes have been sent (RFC 4724 §2).
    pub fn end_of_rib(&self) -> Option<Family> {
        self.end_of_rib
    }
}

/// RFC 4271 §5.1 and §6.3, RFC 7606 §3 d. LOCAL_PREF belongs to every route of an internal session.
fn check_mandatory(scan: &mut Scan<'_>, session: &Negotiated, needs_next_hop: bool) {
    let mandatory = [
        (code::ORIGIN, true),
        (code::AS_PATH, true),
        (code::NEXT_HOP, needs_next_hop),
        (code::LOCAL_PREF, session.internal),
    ];
    for (code, needed) in mandatory {
        if needed && !scan.has(code) {
            scan.withdraw(code, "is missing", NotificationMessage::missing_well_known_attribute(code));
        }
    }
}
