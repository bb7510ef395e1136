use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that chooses what is logged, e.g. `debug` or `rpd=trace,info`.
const FILTER_VARIABLE: &str = "HOLDFAST_LOG";

/// Sends the process's log to standard error, which chassisd keeps in the state-dir: a time stamp, the level, the message.
pub fn init_logging(daemon: &str) {
    // Modules and levels are enough: what looks into fields and spans brings an engine for regular expressions along.
    let asked = std::env::var(FILTER_VARIABLE).ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // A line that cannot be written (disk full) is lost. To report that on standard error would fail there too, and end the
    // process with a panic.
    let lines = lines.log_internal_errors(false);
    // A second call (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "{daemon} starts");
}
