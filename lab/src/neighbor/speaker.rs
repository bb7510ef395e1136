//! The lab's own speaker as a neighbour of the router: a million routes from it and to it cost the machine next to nothing.

use std::sync::Arc;

use super::{Neighbor, SessionView};
use crate::{bgp::feeder::FeederState, error::Result};

/// A feeder that is the router's neighbour.
#[derive(Debug)]
pub struct Speaker {
    state: Arc<FeederState>,
}

impl Speaker {
    /// Shows a running feeder.
    pub fn new(state: Arc<FeederState>) -> Self {
        Self { state }
    }
}

impl Neighbor for Speaker {
    fn implementation(&self) -> &'static str {
        "the lab's speaker"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn session(&self) -> Result<SessionView> {
        let up = self.state.is_established();
        Ok(SessionView { up, state: if up { "Established" } else { "down" }.into(), uptime_s: None })
    }

    fn times_down(&self) -> Result<u64> {
        Ok(self.state.times_down())
    }

    fn times_helped(&self) -> Result<u64> {
        Ok(0)
    }

    fn reset(&self) -> Result<()> {
        self.state.reset();
        Ok(())
    }

    fn check_running(&mut self) -> Result<()> {
        Ok(())
    }
}
