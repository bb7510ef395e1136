//! A term's `then`.

use super::Scope;
use crate::changes::{CommunityChange, NextHopAction};
use crate::error::PolicyError;
use crate::limits::{EXPAND_MAX, PREPEND_MAX};
use crate::route::Disposition;
use crate::statement::{Actions, Adjustment, Next};
use holdfast_proto::v1;
use v1::policy_actions::Disposition as Then;

impl Scope<'_> {
    pub(super) fn actions(&self, then: &v1::PolicyActions) -> Result<Actions, PolicyError> {
        let communities = then.communities.iter().map(|action| self.community_change(action));
        Ok(Actions {
            next: self.next(then.disposition)?,
            default: self.default_action(then.default_action)?,
            local_preference: self.adjustment(
                "local-preference",
                then.local_preference,
                then.local_preference_change.as_ref(),
            )?,
            metric: self.adjustment("metric", then.metric, then.metric_change.as_ref())?,
            origin: self.origin(&then.origin)?,
            next_hop: self.next_hop(then)?,
            preference: then.preference,
            tag: then.tag,
            communities: communities.collect::<Result<_, _>>()?,
            prepend: self.prepend(&then.as_path_prepend)?,
            expand: self.expand(then.as_path_expand)?,
        })
    }

    fn next(&self, disposition: i32) -> Result<Next, PolicyError> {
        match Then::try_from(disposition) {
            Ok(Then::NextTerm) => Ok(Next::Term),
            Ok(Then::NextPolicy) => Ok(Next::Policy),
            Ok(Then::Accept) => Ok(Next::Decided(Disposition::Accept)),
            Ok(Then::Reject) => Ok(Next::Decided(Disposition::Reject)),
            Err(_) => {
                let required = "accept, reject, next term or next policy";
                Err(self.invalid("disposition", &disposition.to_string(), required))
            }
        }
    }

    fn default_action(&self, disposition: i32) -> Result<Option<Disposition>, PolicyError> {
        match Then::try_from(disposition) {
            Ok(Then::NextTerm) => Ok(None),
            Ok(Then::Accept) => Ok(Some(Disposition::Accept)),
            Ok(Then::Reject) => Ok(Some(Disposition::Reject)),
            _ => Err(self.invalid("default-action", &disposition.to_string(), "accept or reject")),
        }
    }

    fn adjustment(
        &self,
        what: &'static str,
        value: Option<u32>,
        change: Option<&v1::NumberChange>,
    ) -> Result<Option<Adjustment>, PolicyError> {
        use v1::number_change::Kind;
        match (value, change.map(|change| (Kind::try_from(change.kind), change.amount))) {
            (value, None) => Ok(value.map(Adjustment::Set)),
            (None, Some((Ok(Kind::Add), amount))) => Ok(Some(Adjustment::Add(amount))),
            (None, Some((Ok(Kind::Subtract), amount))) => Ok(Some(Adjustment::Subtract(amount))),
            (_, Some((_, amount))) => {
                Err(self.invalid(what, &amount.to_string(), "one of a number, add NUMBER or subtract NUMBER"))
            }
        }
    }

    fn next_hop(&self, then: &v1::PolicyActions) -> Result<Option<NextHopAction>, PolicyError> {
        use v1::policy_actions::NextHopKind;
        let kind = NextHopKind::try_from(then.next_hop_kind);
        match (then.next_hop_self, then.next_hop.as_str()) {
            (false, "") => match kind {
                Ok(NextHopKind::Named) => Ok(None),
                Ok(NextHopKind::PeerAddress) => Ok(Some(NextHopAction::PeerAddress)),
                Ok(NextHopKind::Discard) => Ok(Some(NextHopAction::Discard)),
                Ok(NextHopKind::Unreachable) => Ok(Some(NextHopAction::Reject)),
                Err(_) => {
                    let observed = then.next_hop_kind.to_string();
                    Err(self.invalid("next-hop", &observed, "an address, self, peer-address, discard or reject"))
                }
            },
            (_, text) if kind != Ok(NextHopKind::Named) => {
                Err(self.invalid("next-hop", text, "one of an address, self, peer-address, discard and reject"))
            }
            (true, "") => Ok(Some(NextHopAction::SelfAddress)),
            (false, text) => Ok(Some(NextHopAction::Address(self.address("next-hop", text)?))),
            (true, text) => Err(self.invalid("next-hop", text, "either self or one address")),
        }
    }

    fn community_change(&self, action: &v1::CommunityAction) -> Result<CommunityChange, PolicyError> {
        use v1::community_action::Kind;
        let values = self.find(&self.lists.communities, "community", &action.community)?;
        let kind = Kind::try_from(action.kind);
        if kind != Ok(Kind::Delete) && !values.is_plain() {
            let required =
                "a community without wildcards, expressions or invert-match: only what to delete may be said by them";
            return Err(self.invalid("community to add or set", &action.community, required));
        }
        match kind {
            Ok(Kind::Add) => Ok(CommunityChange::Add(values)),
            Ok(Kind::Delete) => Ok(CommunityChange::Delete(values)),
            Ok(Kind::Set) => Ok(CommunityChange::Set(values)),
            Err(_) => Err(self.invalid("community action", &action.kind.to_string(), "add, delete or set")),
        }
    }

    fn prepend(&self, numbers: &[u32]) -> Result<Vec<u32>, PolicyError> {
        if numbers.len() > PREPEND_MAX {
            let observed = format!("{} AS numbers", numbers.len());
            return Err(self.invalid("as-path-prepend", &observed, "at most 32 AS numbers"));
        }
        if numbers.contains(&0) {
            return Err(self.invalid("as-path-prepend", "0", "AS numbers from 1 to 4294967295 (RFC 7607 forbids 0)"));
        }
        Ok(numbers.to_vec())
    }

    fn expand(&self, times: u32) -> Result<u8, PolicyError> {
        let within = u8::try_from(times).ok().filter(|times| *times <= EXPAND_MAX);
        within.ok_or_else(|| self.invalid("as-path-expand last-as count", &times.to_string(), "1 to 32"))
    }
}
