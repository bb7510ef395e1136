//! The result of lost gateways for a person.

use std::fmt::Write as _;

use super::judge::Interruption;
use crate::{
    result::LabResult,
    table_text::{Style, thousands},
};

/// One line for each step.
pub fn render(out: &mut String, result: &LabResult, style: Style) {
    let routes = result.options.get("routes").copied().unwrap_or_default();
    let rate = result.options.get("rate").copied().unwrap_or_default();
    let _ = writeln!(out, "  {} routes, {} probes/s\n", thousands(routes), thousands(rate));
    let _ = writeln!(
        out,
        "  {:<48} {:>9} {:>9} {:>10} {:>10} {:>13} {:>14} {:>10}",
        "what happens", "lost", "allowed", "for ms", "allowed", "least routes", "kernel writes", "settled s"
    );
    for run in &result.runs {
        let Some(interruption) = &run.interruption else { continue };
        let Interruption { lost, ms, allowed_lost, allowed_ms, least_routes, kernel_writes, .. } = interruption;
        let allowed_ms = allowed_ms.map_or_else(|| "-".into(), |ms| format!("{ms:.0}"));
        let writes = kernel_writes.map_or_else(|| "?".into(), thousands);
        let line = format!(
            "  {:<48} {:>9} {:>9} {ms:>10.1} {allowed_ms:>10} {:>13} {writes:>14} {:>10.1}",
            run.name,
            thousands(*lost),
            thousands(*allowed_lost),
            thousands(*least_routes),
            run.seconds
        );
        let _ = writeln!(out, "{}", style.judge(&line, run.is_good()));
    }
}
