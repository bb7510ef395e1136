//! The monitor inside a tokio runtime.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::monitor::{Event, Monitor};
use crate::KernelError;

/// A [`Monitor`] that can be awaited. It stays sealed in here, so that its descriptor cannot be exchanged behind the
/// reactor's back.
#[derive(Debug)]
pub struct AsyncMonitor(AsyncFd<Monitor>);

impl AsyncMonitor {
    /// Hands a monitor to the runtime that the caller runs in.
    pub fn new(monitor: Monitor) -> Result<Self, KernelError> {
        // SAFETY: the monitor owns its descriptor and keeps this very one until it is dropped, which is when the AsyncFd
        // is; nothing here or in `Monitor` replaces it, and no reference to the monitor leaves this type.
        let registered = unsafe { AsyncFd::register_with_interest(monitor, Interest::READABLE) };
        let monitor = registered.map_err(|error| KernelError::Call {
            what: "wait for notifications of the kernel",
            source: error.into(),
        })?;
        Ok(Self(monitor))
    }

    /// Waits for news and appends what they say, in up to `reads` reads of up to 64. Nothing is lost when it is
    /// cancelled.
    pub async fn wait(&mut self, events: &mut Vec<Event>, reads: usize) -> io::Result<()> {
        let mut ready = self.0.readable_mut().await?;
        for _ in 0..reads {
            match ready.get_inner_mut().read(events) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether to hear of routes; see [`Monitor::hear_routes`].
    pub fn hear_routes(&self, hear: bool) -> Result<(), KernelError> {
        self.0.get_ref().hear_routes(hear)
    }

    /// Takes up to 64 notifications that are there already; see [`Monitor::read`].
    pub fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        self.0.get_mut().read(events)
    }
}
