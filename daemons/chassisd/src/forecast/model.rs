//! The constants: what a phase takes on the reference machine (two cores of 2.5 GHz, shared), by what it depends on.

use holdfast_issu::State;
use holdfast_proto::v1::TableSizes;

/// How much longer than the longest gap measured the next may be: others use the machine, too.
pub const GAP_SAFETY: f64 = 2.0;

/// Milliseconds of a phase.
pub fn phase_ms(phase: State, sizes: &TableSizes) -> f64 {
    let paths = (sizes.paths_received + sizes.paths_sent) as f64;
    let (fib, sessions) = (sizes.fib_routes as f64, f64::from(sizes.sessions));
    match phase {
        State::Validating => 150.0,
        State::PreparingBackup => 60.0,
        // Facts are sent, read, and made into tables: some 4 us for each path; pfed reads the kernel at 1 us a route.
        State::Synchronizing => 100.0 + 0.004 * paths + 0.001 * fib,
        State::PreparingDaemons => 5.0,
        State::DaemonsReady | State::FruWarmBooted => 5.0,
        State::FruWarmBooting => 15.0,
        State::PreparingSwitchover => 15.0,
        State::ReadyForSwitchover => 10.0,
        State::Switching => 30.0 + 0.1 * sessions,
        State::Verifying => 20.0 + 0.2 * sessions,
        // Memory given back to the machine.
        State::ShuttingDownOld => 40.0 + 0.0005 * paths,
        State::Idle | State::Soaking | State::Aborting | State::RollingBack => 1.0,
    }
}

/// The gap in milliseconds: descriptors and counters of each session, and nothing that grows with the tables.
pub fn gap_ms(sizes: &TableSizes) -> f64 {
    4.0 + 0.05 * f64::from(sizes.sessions)
}

/// The longest gap to reckon with on a machine nothing is known of.
pub fn gap_max_ms(sizes: &TableSizes) -> f64 {
    60.0 + 0.2 * f64::from(sizes.sessions)
}
