//! `show chassis in-service-upgrade readiness`: the document's checks, ours, neighbours, features, forecast.

use holdfast_proto::v1::{Check, CheckReadinessReply, FeatureForecast, Forecast, NeighborForecast};

use super::{
    table::{Table, wrap},
    time::short,
};

/// The last of the document's nine.
const LAST_OF_DOCUMENT: &str = "ready";

/// Everything, in the order in which an operator asks: may I, what stands in the way, what will it mean, how long.
pub fn readiness(reply: &CheckReadinessReply, columns: usize) -> String {
    let documented = reply.checks.iter().position(|check| check.id == LAST_OF_DOCUMENT).map_or(0, |last| last + 1);
    let (document, ours) = reply.checks.split_at(documented);
    let mut out = format!("PRE ISSR CHECK:\n---------------\n{}", checks(document, columns));
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            out.push_str(&format!("\n{title}\n{body}"));
        }
    };
    section("Further checks", checks(ours, columns));
    section("Neighbors", neighbors(&reply.neighbors, columns));
    section("Configured features", features(&reply.features, columns));
    section("Forecast", reply.forecast.as_ref().map(forecast).unwrap_or_default());
    let last = conclusion(reply);
    out.push_str(&format!("\n{}\n", wrap(&last, columns).join("\n    ")));
    out
}

/// Whether it may be done, and the names of what stands in the way: the checks themselves have left the screen by then.
fn conclusion(reply: &CheckReadinessReply) -> String {
    let named = |warning: bool| -> Vec<&str> {
        let failed = reply.checks.iter().filter(|check| !check.passed && check.id != LAST_OF_DOCUMENT);
        failed.filter(|check| check.warning == warning).map(|check| check.title.as_str()).collect()
    };
    let (errors, warnings) = (named(false), named(true));
    match (reply.ready, warnings.len()) {
        (false, _) => format!("Not ready: an in-service reboot would be refused: {}", errors.join(", ")),
        (true, 0) => "Ready: an in-service reboot would be accepted".to_owned(),
        (true, 1) => {
            format!("Ready: an in-service reboot would be accepted, with one warning: {}", warnings.join(", "))
        }
        (true, count) => {
            format!("Ready: an in-service reboot would be accepted, with {count} warnings: {}", warnings.join(", "))
        }
    }
}

/// Checks in the founding document's layout, with what mends those that failed.
pub fn checks(checks: &[Check], columns: usize) -> String {
    let width = checks.iter().map(|check| check.title.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        out.push_str(&format!("{:<width$} : {}\n", check.title, check.value));
        if !check.passed && check.id != LAST_OF_DOCUMENT {
            let disturbs = if check.remedy_disturbs_traffic { " (disturbs traffic)" } else { "" };
            let remedy = if check.remedy.is_empty() { String::new() } else { format!("{}{disturbs}", check.remedy) };
            for (title, text) in [("observed:", &check.observed), ("required:", &check.required), ("remedy:", &remedy)]
            {
                if !text.is_empty() {
                    out.push_str(&titled(title, text, columns));
                }
            }
        }
    }
    out
}

/// "    observed: text", going on below itself.
pub fn titled(title: &str, text: &str, columns: usize) -> String {
    const INDENT: usize = 14;
    let pieces = wrap(text, columns.saturating_sub(INDENT));
    let head = pieces.first().map_or("", String::as_str);
    let rest = pieces.iter().skip(1).map(|piece| format!("{:INDENT$}{piece}\n", ""));
    format!("    {title:<9} {head}\n{}", rest.collect::<String>())
}

/// What is to be said before the question is asked; nothing when all is well.
pub fn before_the_question(reply: &CheckReadinessReply, columns: usize) -> String {
    let mut out = String::new();
    for check in reply.checks.iter().filter(|check| !check.passed && check.id != LAST_OF_DOCUMENT) {
        let severity = if check.warning { "warning" } else { "error" };
        let text = format!("{severity}: {}: {}; required: {}", check.title, check.observed, check.required);
        out.push_str(&(wrap(&text, columns).join("\n    ") + "\n"));
    }
    if !reply.ready {
        out.push_str("The run would be refused: show chassis in-service-upgrade readiness\n");
    }
    out
}

fn neighbors(neighbors: &[NeighborForecast], columns: usize) -> String {
    if neighbors.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(&["Proto", "Neighbor", "State", "Road", ">Tolerates", ">Predicted", ">Margin", "Reason"]);
    for line in neighbors {
        let timed = line.tolerated_silence_ms > 0;
        let silence = |ms: u64| if timed { short(ms) } else { "-".to_owned() };
        let margin = match (timed, u64::try_from(line.margin_ms)) {
            (false, _) => "-".to_owned(),
            (true, Ok(ms)) => short(ms),
            (true, Err(_)) => format!("-{}", short(line.margin_ms.unsigned_abs())),
        };
        table.row(vec![
            line.protocol.clone(),
            line.neighbor.clone(),
            line.state.clone(),
            line.road.clone(),
            silence(line.tolerated_silence_ms),
            silence(line.predicted_silence_ms),
            margin,
            line.reason.clone(),
        ]);
    }
    table.print_within(columns)
}

fn features(features: &[FeatureForecast], columns: usize) -> String {
    if features.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["Fate", "Feature", "Detail"]);
    for line in features {
        table.row(vec![line.fate.clone(), line.feature.clone(), line.detail.clone()]);
    }
    table.print_within(columns)
}

/// What a run is expected to take.
pub fn forecast(forecast: &Forecast) -> String {
    let mut table = Table::new(&["Phase", ">Forecast"]);
    for phase in &forecast.phases {
        table.row(vec![phase.name.clone(), short(phase.duration_ms)]);
    }
    let sizes = forecast.sizes.unwrap_or_default();
    format!(
        "{}Whole run: {}    Control-plane gap: {:.1} ms, at most {:.0} ms\nReckoned for {} sessions, {} paths received and {} sent,\n{} routes in the kernel\n{}",
        table.print(),
        short(forecast.duration_ms),
        forecast.control_plane_gap_ms,
        forecast.control_plane_gap_max_ms,
        sizes.sessions,
        sizes.paths_received,
        sizes.paths_sent,
        sizes.fib_routes,
        basis(forecast),
    )
}

fn basis(forecast: &Forecast) -> String {
    let ids: Vec<String> = forecast.run_ids.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [] => "From constants of another machine: no run of this router has been measured yet\n".to_owned(),
        [one] => format!("From run {one} of this router\n"),
        _ => format!("From runs {} of this router\n", ids.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::check::Rule;

    use super::*;

    fn reply(ready: bool) -> CheckReadinessReply {
        let gres = Rule::refuses("gres-enabled", "GRES enabled", "graceful-switchover").remedy("set it").disturbing();
        let conjunction = Rule::refuses("ready", "Ready for ISSR", "all").remedy("set it");
        let alarms = Rule::asks("alarms", "No alarms", "no alarm is active").remedy("show system alarms");
        let checks = vec![
            gres.found(ready, if ready { "configured" } else { "not configured" }),
            conjunction.found(ready, "nothing refuses"),
            alarms.found(false, "1 alarm"),
        ];
        let line = |neighbor: &str, tolerated_silence_ms, margin_ms| NeighborForecast {
            protocol: "bgp".into(),
            neighbor: neighbor.into(),
            road: "NSR".into(),
            tolerated_silence_ms,
            predicted_silence_ms: 3_020,
            margin_ms,
            ..Default::default()
        };
        let forecast = Forecast { duration_ms: 2_000, run_ids: vec![7], ..Default::default() };
        CheckReadinessReply {
            checks,
            ready,
            neighbors: vec![line("10.0.0.2", 9_000, 5_980), line("10.0.0.3", 3_000, -20), line("10.0.0.4", 0, 0)],
            forecast: Some(forecast),
            ..Default::default()
        }
    }

    #[test]
    fn the_documents_checks_stand_by_themselves() {
        let text = readiness(&reply(true), 0);
        let head = "PRE ISSR CHECK:\n---------------\nGRES enabled   : Valid\nReady for ISSR : Valid\n\nFurther checks\nNo alarms : Warning\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("    remedy:   show system alarms\n"), "{text}");
        assert!(text.contains("10.0.0.3") && text.contains("-20 ms") && text.contains("5980 ms"), "{text}");
        assert!(text.contains("Whole run: 2000 ms") && text.contains("From run 7 of this router"), "{text}");
        assert!(text.ends_with("accepted, with one warning: No alarms\n"), "{text}");
        assert!(readiness(&reply(false), 0).contains("remedy:   set it (disturbs traffic)\n"));
        assert!(readiness(&reply(false), 0).ends_with("would be refused: GRES enabled\n"));
    }

    #[test]
    fn warnings_are_named_before_the_question() {
        let text = before_the_question(&reply(true), 0);
        assert_eq!(text, "warning: No alarms: 1 alarm; required: no alarm is active\n");
        let text = before_the_question(&reply(false), 0);
        assert!(text.contains("error: GRES enabled: not configured") && text.contains("would be refused"), "{text}");
    }
}
