//! The configuration: one and the same on disk, in mgd, in rpd and in pfed; and nobody in the middle of changing it.

use holdfast_proto::{check::Rule, v1::Check};

use super::observed::Observed;

/// The new engine starts from what is in force; what is in force must be what was committed and everywhere applied.
pub fn checks(observed: &Observed) -> Vec<Check> {
    let stored = observed.stored.clone().map(|()| "the file is the configuration in force".to_owned());
    let applied = observed.unapplied.clone().map(|()| "rpd and pfed have applied it".to_owned());
    let candidate = &observed.candidate;
    let free = |who: Option<String>, otherwise: &str| who.map_or_else(|| Ok(otherwise.to_owned()), Err);
    let uncommitted = candidate.uncommitted.as_ref().map(|edited| format!("changes by {}, not committed", edited.user));
    let exclusive = candidate.exclusive.as_ref().map(|holder| format!("locked by {}", holder.user));
    let committing = candidate.committing.as_ref().map(|user| format!("{user} is committing"));
    let unconfirmed = candidate.unconfirmed.as_ref().map(|waiting| {
        format!("commit {} by {} waits, or commit {} comes back", waiting.commit_id, waiting.user, waiting.back_to)
    });
    vec![
        // The candidate lies on disk and outlives the run; but what it was edited for waits until the run is over.
        Rule::asks("configuration-uncommitted", "Nothing uncommitted", "no change waits to be committed")
            .remedy("configure; commit, or rollback")
            .observe(free(uncommitted, "the candidate is what is in force")),
        Rule::asks("configuration-exclusive", "Not locked", "nobody has the configuration for himself")
            .remedy("ask the one named to leave configure exclusive")
            .observe(free(exclusive, "not locked")),
        Rule::asks("configuration-committing", "No commit running", "no commit is being applied")
            .remedy("wait a moment")
            .observe(free(committing, "none")),
        // Who is cut off could be so for as long as the run takes: nothing is committed meanwhile, nor taken back.
        Rule::refuses("configuration-unconfirmed", "Nothing unconfirmed", "no commit waits to be confirmed")
            .remedy("configure; commit")
            .observe(free(unconfirmed, "none")),
        Rule::refuses("configuration-stored", "Configuration stored", "the committed configuration can be read back")
            .remedy("restart management")
            .observe(stored),
        Rule::refuses("configuration-applied", "Configuration applied", "rpd and pfed have applied the newest commit")
            .remedy("show log; show system processes")
            .observe(applied),
    ]
}
