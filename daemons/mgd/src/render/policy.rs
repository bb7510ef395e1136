//! Routing policies.

use holdfast_proto::v1::{Policies, Policy, TestPolicyPage, TestedRoute};

use super::table::Table;

/// `show policy`: all of them in a table, one with its definition.
pub fn policies(policies: &Policies) -> String {
    match policies.policies.as_slice() {
        [] => "No policy-statement is configured\n".to_owned(),
        [policy] if !policy.definition.is_empty() => one(policy),
        all => {
            let mut table = Table::new(&["Policy", ">Terms", ">Import of", ">Export of", "Asked by"]);
            for policy in all {
                table.row(vec![
                    policy.name.clone(),
                    policy.terms.to_string(),
                    policy.import_of.len().to_string(),
                    policy.export_of.len().to_string(),
                    policy.asked_by.join(" "),
                ]);
            }
            table.print()
        }
    }
}

fn one(policy: &Policy) -> String {
    let mut out = format!("Policy {}:\n", policy.name);
    for line in policy.definition.lines() {
        out.push_str(&format!("    {line}\n"));
    }
    for (title, values) in [
        ("Import of", &policy.import_of),
        ("Export of", &policy.export_of),
        ("Asks", &policy.asks),
        ("Asked by", &policy.asked_by),
        ("Looks at", &policy.depends_on),
    ] {
        if !values.is_empty() {
            out.push_str(&format!("  {title}: {}\n", values.join(", ")));
        }
    }
    out
}

/// `test policy`, page by page; counts on the way.
#[derive(Debug)]
pub struct TestedRoutes {
    policy: String,
    detail: bool,
    accepted: u64,
    rejected: u64,
}

impl TestedRoutes {
    /// Begins; `detail` names every term that matches.
    pub fn new(policy: &str, detail: bool) -> Self {
        Self { policy: policy.to_owned(), detail, accepted: 0, rejected: 0 }
    }

    /// One page.
    pub fn page(&mut self, page: &TestPolicyPage) -> String {
        page.routes.iter().map(|route| self.route(route)).collect()
    }

    fn route(&mut self, tested: &TestedRoute) -> String {
        let count = if tested.accepted { &mut self.accepted } else { &mut self.rejected };
        *count += 1;
        let route = tested.route.clone().unwrap_or_default();
        let from = if route.learned_from.is_empty() { String::new() } else { format!(" from {}", route.learned_from) };
        let verdict = if tested.accepted { "accepted" } else { "rejected" };
        let mut out = format!("{} [{}{from}] {verdict} by {}\n", route.prefix, route.protocol, place(tested));
        if self.detail {
            for step in &tested.steps {
                let indent = "  ".repeat(step.depth as usize);
                out.push_str(&format!("    {indent}matches {}\n", named(&step.policy, &step.term)));
            }
        }
        for change in &tested.changes {
            let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
            out.push_str(&format!("    {}: {} -> {}\n", change.what, shown(&change.before), shown(&change.after)));
        }
        out
    }

    /// The counts.
    pub fn end(&self) -> String {
        format!("Policy {}: {} routes accepted, {} rejected\n", self.policy, self.accepted, self.rejected)
    }
}

fn place(tested: &TestedRoute) -> String {
    if tested.policy.is_empty() { "default".to_owned() } else { named(&tested.policy, &tested.term) }
}

fn named(policy: &str, term: &str) -> String {
    if term.is_empty() { format!("policy {policy}") } else { format!("policy {policy} term {term}") }
}
