//! An aid for tests (docs/test-aids.md): a stream of facts with less room than it has.

use holdfast_replication::limits::STREAM_BUFFER_LEN;

/// `@FILE`: as long as there is one, it says how many bytes.
const VARIABLE: &str = "HOLDFAST_STREAM_ROOM";

/// The room of a stream that is attached now.
pub fn stream_room() -> usize {
    let Ok(value) = std::env::var(VARIABLE) else { return STREAM_BUFFER_LEN };
    let said = value.strip_prefix('@').and_then(|file| std::fs::read_to_string(file).ok());
    match said.and_then(|text| text.trim().parse().ok()) {
        Some(bytes) => {
            tracing::warn!("{VARIABLE} is set: this stream of facts has room for {bytes} bytes");
            bytes
        }
        None => STREAM_BUFFER_LEN,
    }
}
