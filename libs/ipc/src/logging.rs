use tracing_subscriber::{EnvFilter, fmt};

/// The environment variable that chooses what is logged, e.g. `debug` or `rpd=trace,info`.
const FILTER_VARIABLE: &str = "HOLDFAST_LOG";

/// Sends the process's log to standard error, which chassisd keeps in the state-dir: a time stamp, the level, the message.
pub fn init_logging(daemon: &str) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // A line that cannot be written (disk full) is lost. To report that on standard error would fail there too, and end the
    // process with a panic.
    let subscriber = subscriber.log_internal_errors(false);
    // A second call (tests) keeps the first subscriber.
    let _ = subscriber.try_init();
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "{daemon} starts");
}
