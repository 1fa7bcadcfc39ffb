//! Words about queries of slow logs.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word used in the store, the API and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The one whose word this is.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// What people have made of a query.
    QueryState {
        /// Nobody has said anything of it.
        New = "new",
        /// Somebody has looked, and is about to do something.
        LookedAt = "looked_at",
        /// It is as slow as it has to be.
        Accepted = "accepted",
        /// Nobody wants to see it: it is in no ranking, and nobody is told of it.
        Ignored = "ignored",
    }
}

words! {
    /// What became of a query from one period to another.
    QueryFlag {
        /// It was never seen before.
        New = "new",
        /// It takes longer, day by day.
        Worse = "worse",
        /// It takes less time, day by day.
        Better = "better",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for state in QueryState::ALL {
            assert_eq!(QueryState::parse(state.as_str()), Some(*state));
        }
        assert_eq!(QueryFlag::parse("worse"), Some(QueryFlag::Worse));
        assert_eq!((QueryFlag::parse("wurst"), QueryState::parse("")), (None, None));
    }
}
