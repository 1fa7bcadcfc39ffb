//! JSON that a stranger wrote, read with bounds: so many values, so deep, and no name twice in one object.
//!
//! `serde_json` alone takes a mebibyte of `[[],[],…` and makes thirty of it, and of two attributes of one name it takes
//! the last, which is not what others take.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The most values in a body, those in its arrays and objects counted: an image of 3,000 packages has a quarter of it.
const MOST_VALUES: usize = 50_000;

/// The most names in one object: no thing of ours has a tenth of it.
const MOST_NAMES: usize = 1_000;

/// How deep arrays and objects may stand in each other.
const DEEPEST: usize = 16;

/// Reads a value, or says why not.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut left = MOST_VALUES;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Bounded { left: &mut left, depth: DEEPEST }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Where a NUL stands in a text or a name, if one does: PostgreSQL takes none, and nobody means one.
pub(crate) fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

struct Bounded<'a> {
    left: &'a mut usize,
    depth: usize,
}

impl Bounded<'_> {
    fn inner<E: Error>(&mut self) -> Result<Bounded<'_>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format!("is nested more than {DEEPEST} deep")))?;
        *self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format!("holds more than {MOST_VALUES} values")))?;
        Ok(Bounded { left: self.left, depth })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if object.len() >= MOST_NAMES {
                return Err(A::Error::custom(format!("holds an object of more than {MOST_NAMES} names")));
            }
            let value = map.next_value_seed(self.inner()?)?;
            if object.contains_key(&name) {
                let name: String = name.chars().take(60).collect();
                return Err(A::Error::custom(format!("holds {name:?} twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_within_bounds_is_read_as_it_is(value in any_json()) {
            prop_assert_eq!(read(&serde_json::to_vec(&value).unwrap()).unwrap(), value);
        }
    }

    fn check(text: &str, why: &str) {
        let refused = read(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        check(&format!("[{}0]", "0,".repeat(MOST_VALUES)), "more than 50000 values");
        let keys: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":0")).collect();
        check(&format!("{{{}}}", keys.join(",")), "more than 1000 names");
        check(&"[".repeat(100_000), "nested more than 16 deep");
        check(&format!("{}{}", "{\"a\":".repeat(20), "}".repeat(20)), "nested more than 16 deep");
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused() {
        check(r#"{"name":"a","name":"b"}"#, "holds \"name\" twice");
        check(r#"{"a":{"b":1,"b":1}}"#, "holds \"b\" twice");
        check("{} {}", "trailing characters");
        check("{\"a\":\"\0\"}", "control character");
        check("{\"a\":\"\\ud800\"}", "hex escape");
    }

    #[test]
    fn a_nul_is_found_wherever_it_stands() {
        for text in [r#""\u0000""#, r#"{"a":["x\u0000"]}"#, r#"{"\u0000":1}"#] {
            assert!(holds_nul(&read(text.as_bytes()).unwrap()), "{text}");
        }
        assert!(!holds_nul(&read(br#"{"a":"\\u0000"}"#).unwrap()));
    }
}
