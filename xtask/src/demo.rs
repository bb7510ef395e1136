//! The demo: the lab `issr-basic`, with the proof in a few words at its end.

use std::{fs, io::IsTerminal, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{build, packages, shell};

/// Runs it.
pub fn run(keep: bool, json: &Path) -> Result<ExitCode> {
    shell::require_root("the demo")?;
    packages::ensure()?;
    let folder = build::release()?;
    let json = shell::root().join(json);
    if let Some(parent) = json.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    // A result of an earlier demo must not pass for this one's.
    let _ = fs::remove_file(&json);
    introduce();
    let mut lab = shell::command(folder.join("holdfast"));
    lab.args(["lab", "run", "issr-basic", "--routes", "100000", "--json"]).arg(&json);
    if keep {
        lab.arg("--keep");
    }
    let good = shell::succeeds(&mut lab)?;
    if let Ok(text) = fs::read_to_string(&json) {
        conclude(&serde_json::from_str(&text).with_context(|| format!("read {}", json.display()))?);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn introduce() {
    shell::say(
        "a router between FRR and BIRD, 100,000 routes, 5,000 packets/s each way, hold time 9 s, no graceful restart:",
    );
    shell::say("its whole control plane is now replaced while all of that goes on");
}

/// One sentence for a newcomer, from the figures.
fn conclude(result: &Value) {
    let sum = |list: &str, key: &str| -> u64 {
        result[list].as_array().map_or(0, |l| l.iter().filter_map(|i| i[key].as_u64()).sum())
    };
    let good = result["verdict"] == "nothing-lost";
    let sentence = format!(
        "{} of {} packets arrived, {} sessions flapped; every process of the router is a new one since",
        sum("traffic", "received"),
        sum("traffic", "sent"),
        sum("sessions", "flaps"),
    );
    let line = if good { format!("PROVEN: {sentence}") } else { format!("NOT PROVEN: {}", result["verdict"]) };
    match (std::io::stdout().is_terminal(), good) {
        (true, true) => println!("\x1b[1;32m{line}\x1b[0m"),
        (true, false) => println!("\x1b[1;31m{line}\x1b[0m"),
        (false, _) => println!("{line}"),
    }
}
