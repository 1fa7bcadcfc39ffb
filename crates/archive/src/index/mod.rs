//! The index of one architecture in one component: stanzas, sorted by name, then version, in chunks.
//!
//! Which stanzas share a chunk is decided by the names themselves: a chunk ends after a name whose digest begins with
//! a byte below [`ENDS_BELOW`]. So equal contents are equal chunks, however they came to be, and a chunk that did not change is
//! found by its digest: by suites that share it, by publications, by who compares two of them, and by who compresses it, once.

mod chunks;
mod stanza;

pub(crate) use chunks::{Chunks, Form};
pub use stanza::Stanza;
pub use stanza::compare_versions;

use crate::ArchiveResult;
use crate::digests::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of 256 names, so many end a chunk: it holds 128 names on average, some 100 kB, which is read and written in about a
/// millisecond, while 50,000 packages are 400 chunks to name.
const ENDS_BELOW: u8 = 2;

/// A chunk of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The name of its first package.
    pub from: String,
    /// Its text's.
    pub digest: Digest,
}

/// An index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index {
    pub(crate) chunks: Vec<Chunk>,
}

/// What is to become of the stanzas of one name.
pub(crate) type Edit<'e> = Box<dyn FnOnce(&mut Vec<Stanza>) + 'e>;

impl Index {
    /// Gives the stanzas of each of these names to its edit, and makes the chunks that come of it.
    pub(crate) fn edit(&mut self, chunks: &Chunks, edits: BTreeMap<String, Edit<'_>>) -> ArchiveResult<()> {
        let mut edits = edits.into_iter().peekable();
        let mut edited = Vec::with_capacity(self.chunks.len() + 1);
        let mut old = std::mem::take(&mut self.chunks).into_iter().peekable();
        while edits.peek().is_some() || old.peek().is_some() {
            // The names up to the next chunk's first belong to this one.
            let mut names: BTreeMap<String, Vec<Stanza>> = BTreeMap::new();
            let mut touched = false;
            let mut whole = old.next();
            loop {
                let beyond = old.peek().map(|next| next.from.clone());
                let mut own = Vec::new();
                while let Some((name, edit)) =
                    edits.next_if(|(name, _)| beyond.as_ref().is_none_or(|beyond| name < beyond))
                {
                    own.push((name, edit));
                }
                if own.is_empty() && !touched {
                    break;
                }
                touched = true;
                if let Some(chunk) = whole.take() {
                    for stanza in chunks.stanzas(chunk.digest)? {
                        names.entry(stanza.name().to_owned()).or_default().push(stanza);
                    }
                }
                for (name, edit) in own {
                    edit(names.entry(name).or_default());
                }
                names.retain(|_, stanzas| !stanzas.is_empty());
                // What its last name no longer ends goes on in the next chunk.
                let ended = names.last_key_value().is_some_and(|(name, _)| ends(name));
                if ended || old.peek().is_none() {
                    break;
                }
                whole = old.next();
            }
            match whole {
                Some(untouched) if !touched => edited.push(untouched),
                _ => edited.extend(split(chunks, names)?),
            }
        }
        self.chunks = edited;
        Ok(())
    }

    /// Every stanza, chunk by chunk.
    pub(crate) fn stanzas<'i>(
        &'i self,
        chunks: &'i Chunks,
    ) -> impl Iterator<Item = ArchiveResult<Stanza>> + 'i {
        self.chunks.iter().flat_map(|chunk| match chunks.stanzas(chunk.digest) {
            Ok(stanzas) => stanzas.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The stanzas of one name.
    pub(crate) fn of_name(&self, chunks: &Chunks, name: &str) -> ArchiveResult<Vec<Stanza>> {
        let after = self.chunks.partition_point(|chunk| chunk.from.as_str() <= name);
        let Some(chunk) = after.checked_sub(1).and_then(|at| self.chunks.get(at)) else {
            return Ok(Vec::new());
        };
        let stanzas = chunks.stanzas(chunk.digest)?;
        Ok(stanzas.into_iter().filter(|stanza| stanza.name() == name).collect())
    }
}

fn ends(name: &str) -> bool {
    let digest = String::from(Digest::of(name.as_bytes()));
    u8::from_str_radix(&digest[..2], 16).is_ok_and(|first| first < ENDS_BELOW)
}

fn split(chunks: &Chunks, names: BTreeMap<String, Vec<Stanza>>) -> ArchiveResult<Vec<Chunk>> {
    let mut made = Vec::new();
    let mut from = None;
    let mut text = String::new();
    for (name, mut stanzas) in names {
        stanzas.sort_by(Stanza::order);
        for stanza in &stanzas {
            text.push_str(stanza.text());
            text.push('\n');
        }
        let first = from.get_or_insert_with(|| name.clone());
        if ends(&name) {
            made.push(Chunk { from: std::mem::take(first), digest: chunks.put(&text)? });
            from = None;
            text.clear();
        }
    }
    if let Some(from) = from {
        made.push(Chunk { from, digest: chunks.put(&text)? });
    }
    Ok(made)
}

#[cfg(test)]
mod tests;
