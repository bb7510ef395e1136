//! Where a route comes from.

/// Protocols, in the order in which they came to be. Which one is preferred: [`Protocol::default_preference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// The subnet of an address of an interface that is up.
    Direct,
    /// Configured under `routing-options static`.
    Static,
    /// BGP's best path.
    Bgp,
    /// Put together from longer ones, as long as there are any.
    Aggregate,
}

impl Protocol {
    /// Every protocol, in the order of [`Protocol::index`].
    pub const ALL: [Protocol; 4] = [Protocol::Direct, Protocol::Static, Protocol::Bgp, Protocol::Aggregate];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Direct => "direct",
            Protocol::Static => "static",
            Protocol::Bgp => "bgp",
            Protocol::Aggregate => "aggregate",
        }
    }

    /// Preference without configuration (lower wins), as in Junos.
    pub const fn default_preference(self) -> u8 {
        match self {
            Protocol::Direct => 0,
            Protocol::Static => 5,
            Protocol::Bgp => 170,
            Protocol::Aggregate => 130,
        }
    }

    /// A small dense number, for arrays with one element per protocol.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The octet that stands for the protocol in digests. Fixed for ever.
    pub const fn digest_octet(self) -> u8 {
        match self {
            Protocol::Direct => 1,
            Protocol::Static => 2,
            Protocol::Bgp => 3,
            Protocol::Aggregate => 4,
        }
    }
}
