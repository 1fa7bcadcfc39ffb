//! Names of databases, users and hosts, each kept once; and who used how much.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// More names than this are one: a log that names a million hosts must not fill the memory.
const MOST: usize = 10_000;
const LONGEST: usize = 256;

/// A name, or all for which there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameId(u32);

impl NameId {
    const OTHER: Self = Self(u32::MAX);
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    list: Vec<Box<[u8]>>,
    found: HashTable<u32>,
    /// The last one of each kind: events of one user come in rows.
    last: [Option<NameId>; 3],
}

impl Names {
    /// The id of a name: a database's, a user's or a host's.
    pub(crate) fn of_kind(&mut self, kind: usize, name: &[u8]) -> NameId {
        let name = &name[..name.len().min(LONGEST)];
        if let Some(last) = self.last[kind].filter(|last| self.name(*last) == Some(name)) {
            return last;
        }
        let found = self.of(name);
        self.last[kind] = Some(found);
        found
    }

    fn of(&mut self, name: &[u8]) -> NameId {
        let state = FixedState::default();
        let hash = state.hash_one(name);
        let list = &self.list;
        if let Some(at) = self.found.find(hash, |at| *list[*at as usize] == *name) {
            return NameId(*at);
        }
        let Some(at) = u32::try_from(self.list.len()).ok().filter(|_| self.list.len() < MOST) else {
            return NameId::OTHER;
        };
        self.list.push(name.into());
        let list = &self.list;
        self.found.insert_unique(hash, at, |at| state.hash_one(&*list[*at as usize]));
        NameId(at)
    }

    /// None for those that had no place.
    pub(crate) fn name(&self, id: NameId) -> Option<&[u8]> {
        self.list.get(id.0 as usize).map(|name| &**name)
    }
}

/// How much of a class one database, user or host asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) who: NameId,
    pub(crate) count: u64,
    pub(crate) query_time: u64,
}

/// By whom. Those for whom there is no more place are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses(Vec<Use>);

impl Uses {
    const MOST: usize = 64;

    pub(crate) fn add(&mut self, more: Use) {
        let list = &mut self.0;
        let who = |who: NameId| move |known: &Use| known.who == who;
        let at = list.iter().position(who(more.who)).unwrap_or_else(|| {
            let who_else = if list.len() < Self::MOST { more.who } else { NameId::OTHER };
            list.iter().position(who(who_else)).unwrap_or_else(|| {
                list.push(Use { who: who_else, count: 0, query_time: 0 });
                list.len() - 1
            })
        });
        list[at].count += more.count;
        list[at].query_time = list[at].query_time.saturating_add(more.query_time);
    }

    pub(crate) fn list(&self) -> &[Use] {
        &self.0
    }

    /// These, with the names of another list.
    pub(crate) fn merge(&mut self, other: &Self, mut rename: impl FnMut(NameId) -> NameId) {
        for known in &other.0 {
            self.add(Use { who: rename(known.who), ..*known });
        }
    }
}

impl Names {
    /// The id here of a name there.
    pub(crate) fn adopt(&mut self, other: &Self, id: NameId) -> NameId {
        other.name(id).map_or(NameId::OTHER, |name| self.of(name))
    }
}
