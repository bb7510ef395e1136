//! BGP Roles (RFC 9234 §4): what two neighbours are to each other, said by each of itself.

use std::fmt;

/// What a speaker says that it is on a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// It sells transit to the neighbour.
    Provider = 0,
    /// A route server.
    RouteServer = 1,
    /// A client of a route server.
    RouteServerClient = 2,
    /// It buys transit from the neighbour.
    Customer = 3,
    /// Both tell each other of their customers.
    Peer = 4,
}

impl Role {
    /// The role with this number; `None`: not one that is known.
    pub const fn from_code(code: u8) -> Option<Role> {
        Some(match code {
            0 => Role::Provider,
            1 => Role::RouteServer,
            2 => Role::RouteServerClient,
            3 => Role::Customer,
            4 => Role::Peer,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What the neighbour of this role is (RFC 9234 §4.2, table 2).
    pub const fn counterpart(self) -> Role {
        match self {
            Role::Provider => Role::Customer,
            Role::Customer => Role::Provider,
            Role::RouteServer => Role::RouteServerClient,
            Role::RouteServerClient => Role::RouteServer,
            Role::Peer => Role::Peer,
        }
    }

    /// As in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Provider => "provider",
            Role::RouteServer => "rs",
            Role::RouteServerClient => "rs-client",
            Role::Customer => "customer",
            Role::Peer => "peer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_counterparts_are_those_of_the_rfc() {
        for code in 0..=255 {
            assert_eq!(Role::from_code(code).map(Role::code), (code <= 4).then_some(code));
        }
        for (one, other) in [(0, 3), (1, 2), (2, 1), (3, 0), (4, 4)] {
            assert_eq!(Role::from_code(one).unwrap().counterpart().code(), other);
        }
    }
}
