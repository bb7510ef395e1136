//! Two small fields with names.

/// Where a session stands (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Held down by an operator.
    AdminDown = 0,
    /// Nothing is known of the neighbour, or it is lost.
    Down = 1,
    /// The neighbour is heard, but does not hear us yet.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [State; 4] = [State::AdminDown, State::Down, State::Init, State::Up];

    /// Of two bits.
    pub fn from_bits(bits: u8) -> State {
        State::ALL[usize::from(bits & 3)]
    }

    /// As in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why a session last left Up (RFC 5880 §4.1). Values that are not known are kept as they came: they are only shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing has happened.
    pub const NONE: Diagnostic = Diagnostic(0);
    /// Nothing was heard for the detection time.
    pub const DETECTION_TIME_EXPIRED: Diagnostic = Diagnostic(1);
    /// The neighbour has said that it is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Diagnostic = Diagnostic(3);
    /// An operator wants it so.
    pub const ADMINISTRATIVELY_DOWN: Diagnostic = Diagnostic(7);

    /// Of five bits.
    pub fn from_bits(bits: u8) -> Diagnostic {
        Diagnostic(bits & 0x1f)
    }

    /// The five bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// As in the RFC.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            _ => "reserved",
        }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
