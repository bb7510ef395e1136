//! The cases.

use crate::error::{LabError, Result};

/// Routes of a case, unless told otherwise.
pub const ROUTES: usize = 1_000_000;
/// Routes that somebody else alters or removes before a warm boot.
pub const CHANGED: usize = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// All routes into an empty table.
    Fill,
    /// The writing process starts anew, and everything is there.
    WarmUnchanged,
    /// The same after somebody has changed some routes.
    WarmChanged,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fill, Self::WarmUnchanged, Self::WarmChanged];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fill => "1000000",
            Self::WarmUnchanged => "warm-unchanged",
            Self::WarmChanged => "warm-1000-changed",
        }
    }

    /// Routes that have to be written.
    pub fn writes(self, routes: usize) -> usize {
        match self {
            Self::Fill => routes,
            Self::WarmUnchanged => 0,
            Self::WarmChanged => CHANGED.min(routes),
        }
    }

    /// Those of these names; none named: all.
    pub fn select(names: &[String]) -> Result<Vec<Self>> {
        if let Some(unknown) = names.iter().find(|name| Self::ALL.iter().all(|case| case.name() != **name)) {
            let known = Self::ALL.map(Self::name).join(", ");
            return Err(LabError::Usage(format!("there is no case {unknown}; the cases are: {known}")));
        }
        Ok(Self::ALL.into_iter().filter(|case| names.is_empty() || names.iter().any(|n| n == case.name())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_name() {
        assert_eq!(Case::select(&[]).unwrap().len(), 3);
        assert_eq!(Case::select(&["warm-unchanged".into()]).unwrap(), [Case::WarmUnchanged]);
        assert!(Case::select(&["warm".into()]).unwrap_err().to_string().contains("warm-1000-changed"));
        assert_eq!((Case::WarmChanged.writes(100), Case::WarmChanged.writes(ROUTES)), (100, 1_000));
    }
}
