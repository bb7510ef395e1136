//! Whether anything grows from reboot to reboot: compared are the second measurement (the first still warms caches) and
//! the last.

use crate::result::Measured;

/// A process may be this much larger: allocators and page tables breathe.
const MEMORY_SLACK: f64 = 1.10;
/// And this, for small processes.
const MEMORY_SLACK_MIB: f64 = 3.0;
/// A connection of the moment.
const DESCRIPTOR_SLACK: u32 = 2;

/// What has grown, in sentences. `beacons` routes come and go all the time.
pub fn complaints(runs: &[&Measured], beacons: usize) -> Vec<String> {
    let [_, second, .., last] = runs else { return Vec::new() };
    let mut out = Vec::new();
    for (name, before) in &second.rss_mib {
        let after = last.rss_mib.get(name).copied().unwrap_or(0.0);
        if after > before * MEMORY_SLACK + MEMORY_SLACK_MIB {
            out.push(format!(
                "memory of {name} grew from {before:.1} to {after:.1} MiB between run 2 and {}",
                runs.len()
            ));
        }
    }
    for (name, before) in &second.descriptors {
        let after = last.descriptors.get(name).copied().unwrap_or(0);
        if after > before + DESCRIPTOR_SLACK {
            out.push(format!("descriptors of {name} grew from {before} to {after} between run 2 and {}", runs.len()));
        }
    }
    let slack = beacons as u64;
    for (what, before, after, slack) in [
        ("kernel routes", second.kernel.routes, last.kernel.routes, slack),
        ("kernel next-hop objects", second.kernel.nexthops, last.kernel.nexthops, 0),
        ("files in the run-dir", second.run_files, last.run_files, 0),
        ("processes", second.rss_mib.len() as u64, last.rss_mib.len() as u64, 0),
    ] {
        if after > before + slack {
            out.push(format!("{what} grew from {before} to {after} between run 2 and {}", runs.len()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rss: f64, descriptors: u32, nexthops: u64) -> Measured {
        let mut run = Measured::default();
        run.rss_mib.insert("rpd".into(), rss);
        run.descriptors.insert("rpd".into(), descriptors);
        run.kernel.nexthops = nexthops;
        run
    }

    #[test]
    fn growth_is_found_and_warming_up_is_none() {
        assert!(complaints(&[&run(10.0, 9, 1), &run(50.0, 20, 2), &run(51.0, 20, 2)], 2).is_empty());
        assert_eq!(complaints(&[&run(10.0, 9, 1), &run(50.0, 20, 2), &run(70.0, 30, 3)], 2).len(), 3);
        assert!(complaints(&[&run(1.0, 1, 1), &run(900.0, 90, 90)], 2).is_empty(), "two runs show no trend");
    }
}
