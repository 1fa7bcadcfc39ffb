//! However an index came to be, equal contents are equal chunks.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn stanza(name: &str, version: u32) -> Stanza {
    Stanza::new(&format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n"))
}

fn edit_to<'e>(versions: &BTreeSet<u32>, name: &'e str) -> Edit<'e> {
    let wanted: Vec<Stanza> = versions.iter().map(|version| stanza(name, *version)).collect();
    Box::new(move |stanzas| *stanzas = wanted)
}

fn contents(index: &Index, chunks: &Chunks) -> Vec<(String, String)> {
    let stanzas: Vec<Stanza> = index.stanzas(chunks).map(Result::unwrap).collect();
    stanzas.iter().map(|stanza| (stanza.name().to_owned(), stanza.version().to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn chunks_are_decided_by_their_contents(
        rounds in proptest::collection::vec(
            proptest::collection::btree_map(0_u32..600, proptest::collection::btree_set(1_u32..4, 0..3), 0..150),
            1..5,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let chunks = Chunks::new(directory.path().to_owned());
        let mut index = Index::default();
        let mut model: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for round in rounds {
            let round: BTreeMap<String, BTreeSet<u32>> =
                round.into_iter().map(|(number, versions)| (format!("p{number:05}"), versions)).collect();
            let edits = round.iter().map(|(name, versions)| (name.clone(), edit_to(versions, name))).collect();
            index.edit(&chunks, edits).unwrap();
            model.extend(round);
            model.retain(|_, versions| !versions.is_empty());
        }
        let expected: Vec<(String, String)> = model
            .iter()
            .flat_map(|(name, versions)| versions.iter().map(move |version| (name.clone(), version.to_string())))
            .collect();
        prop_assert_eq!(contents(&index, &chunks), expected);
        let mut at_once = Index::default();
        let edits = model.iter().map(|(name, versions)| (name.clone(), edit_to(versions, name))).collect();
        at_once.edit(&chunks, edits).unwrap();
        prop_assert_eq!(&index, &at_once);
        for (name, versions) in &model {
            prop_assert_eq!(index.of_name(&chunks, name).unwrap().len(), versions.len());
        }
    }
}

#[test]
fn versions_are_ordered_as_dpkg_orders_them() {
    let mut versions = vec!["1.0", "1.0~rc1", "1:0.1", "1.10", "1.9", "1.0-1", "1.0+b1", "1.0a", "0"];
    versions.sort_by(|one, other| stanza::compare_versions(one, other));
    assert_eq!(versions, ["0", "1.0~rc1", "1.0", "1.0-1", "1.0a", "1.0+b1", "1.9", "1.10", "1:0.1"]);
}

#[test]
fn a_chunk_gone_bad_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let chunks = Chunks::new(directory.path().to_owned());
    let mut index = Index::default();
    index.edit(&chunks, BTreeMap::from([("a0".to_owned(), edit_to(&BTreeSet::from([1]), "a0"))])).unwrap();
    let digest = index.chunks[0].digest.to_string();
    let path = directory.path().join(&digest[..2]).join(format!("{digest}.txt"));
    std::fs::write(&path, "Package: a0\nVersion: 2\n").unwrap();
    let told = index.stanzas(&chunks).next().unwrap().unwrap_err().to_string();
    assert!(told.ends_with("is damaged: it is not what its name says"), "{told}");
}
