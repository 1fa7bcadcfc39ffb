//! What a token or a person may do: the words of the attribute `scope`.

/// From everything to one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Everything.
    Operator,
    /// Everything with what one account owns.
    Admin,
    /// Reading what one account owns.
    Viewer,
    /// One guest: seeing it, its operations and its events; starting, stopping, rebooting it, its console and log.
    Machine,
    /// Uploads into one suite of the archive, and nothing else.
    Suite,
}

impl Right {
    /// Every right.
    pub const ALL: [Right; 5] = [Right::Operator, Right::Admin, Right::Viewer, Right::Machine, Right::Suite];

    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Operator => "operator",
            Right::Admin => "admin",
            Right::Viewer => "viewer",
            Right::Machine => "machine",
            Right::Suite => "suite",
        }
    }

    /// The right whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == word)
    }
}
