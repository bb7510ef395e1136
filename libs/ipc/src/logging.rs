use tracing_subscriber::{EnvFilter, fmt};

/// The environment variable that chooses what is logged, e.g. `debug` or `rpd=trace,info`.
const FILTER_VARIABLE: &str = "HOLDFAST_LOG";

/// Sends the process's log to standard error, which chassisd keeps in the state-dir: a time stamp, the level, the message.
pub fn init_logging(daemon: &str) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call (tests) keeps the first subscriber.
    let _ = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).with_ansi(false).try_init();
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "{daemon} starts");
}
