//! A test aid: HOLDFAST_PAUSE_BEFORE=activate:MS makes chassisd wait after the old routing engine is frozen and before
//! the new rpd is asked to activate, so that a test can kill or stop the new rpd in that window from outside.

use std::time::Duration;

/// The pause asked for, if any; read once at the start.
pub fn pause_before_activation() -> Duration {
    let value = std::env::var("HOLDFAST_PAUSE_BEFORE").unwrap_or_default();
    let pause = parse(&value);
    match pause {
        Some(pause) => {
            tracing::warn!(?pause, "HOLDFAST_PAUSE_BEFORE is set: a test aid, it lengthens every switchover")
        }
        None if !value.is_empty() => {
            tracing::warn!(value, "HOLDFAST_PAUSE_BEFORE is not understood; it is activate:MS")
        }
        None => {}
    }
    pause.unwrap_or_default()
}

fn parse(value: &str) -> Option<Duration> {
    value.strip_prefix("activate:")?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_form_is_understood() {
        assert_eq!(parse("activate:250"), Some(Duration::from_millis(250)));
        for wrong in ["", "activate", "activate:", "activate:-1", "commit:5"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
