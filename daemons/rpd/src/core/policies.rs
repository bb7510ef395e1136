//! `test policy` and `show policy`.

use holdfast_bgp::speaker::TriedFor;
use holdfast_proto::v1;
use holdfast_rib::Family;

use super::Core;
use super::routes::parse_prefix;
use crate::destinations::Walk;

impl Core {
    /// One page of routes as a policy would treat them, and where the next one begins.
    pub(super) fn test_policy_page(
        &self,
        request: &v1::TestPolicyRequest,
        walk: Walk,
    ) -> Result<(v1::TestPolicyPage, Option<Walk>), String> {
        let bgp = &self.protocols.bgp;
        let chain = bgp.policy(&request.policy)?;
        let cover = parse_prefix(&request.prefix)?.trunc();
        let tried =
            TriedFor { from: self.neighbor_named(&request.received_from)?, to: self.neighbor_named(&request.told_to)? };
        let families = Family::ALL.map(|family| family == Family::of(&cover));
        let test = |family, id| bgp.test_policy(&self.rib, &chain, tried, family, id);
        let (routes, next) = walk.page(&self.rib, families, Some(cover), test);
        Ok((v1::TestPolicyPage { routes }, next))
    }

    pub(super) fn policies(&self, name: &str) -> Result<v1::Policies, String> {
        let policies = self.protocols.bgp.policies(name);
        if policies.policies.is_empty() && !name.is_empty() {
            self.protocols.bgp.policy(name)?;
        }
        Ok(policies)
    }
}
