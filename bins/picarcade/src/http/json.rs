//! JSON read in place: members and elements as borrowed text.
//!
//! Only requested values are read, so the memory of a body does not depend on its content. A
//! borrowed value is only known to follow the grammar: its numbers may be out of range, its strings
//! may contain half a surrogate pair, and its nesting may be deep. Only the code that reads such a
//! value has to handle it.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Error;
use serde::{Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Checks the grammar of a text.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text).map(drop)
}

/// Returns the members with these names; of repeated members the last. `None` if the text is not
/// one JSON object.
pub(crate) fn members<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Members(names)).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// Returns the first `most` elements, and whether there are more. `None` if the text is not one
/// JSON list.
pub(crate) fn elements(text: &str, most: usize) -> Option<(Vec<&RawValue>, bool)> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_seq(Elements(most)).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// Serializes a value with the members of every object sorted by name.
pub(crate) fn sorted<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::to_value(value).map_err(S::Error::custom)?.serialize(serializer)
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let mut slots = self.0.iter().zip(&mut found);
            if let Some((_, slot)) = slots.find(|(name, _)| is_named(key.get(), name)) {
                *slot = Some(value);
            }
        }
        Ok(found)
    }
}

/// Returns whether a key, as written, is this name. A key that is not valid Unicode is no name.
fn is_named(key: &str, name: &str) -> bool {
    let inner = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
    inner == name || inner.contains('\\') && serde_json::from_str::<String>(key).is_ok_and(|key| key == name)
}

struct Elements(usize);

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.0 {
            match list.next_element()? {
                Some(element) => kept.push(element),
                None => return Ok((kept, false)),
            }
        }
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((kept, more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(found: Option<[Option<&RawValue>; N]>) -> [Option<&str>; N] {
        found.unwrap().map(|raw| raw.map(RawValue::get))
    }

    #[test]
    fn odd_values_are_found_like_other_members() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let text =
            format!(r#"{{"a": 1e999, "\ud800": 1, "b": "\udc00", "c": {deep}, "a": 2, "\u0064": true}}"#);
        let found = texts(members(&text, ["a", "b", "c", "d", "e"]));
        assert_eq!(found, [Some("2"), Some(r#""\udc00""#), Some(&*deep), Some("true"), None]);
    }

    #[test]
    fn malformed_text_and_other_types_have_no_members_or_elements() {
        for text in
            ["", "1", "[]", r#"{"a": 1"#, r#"{"a": 1} x"#, r#"{"a": 01}"#, "{a: 1}", "{\"a\": \"\n\"}"]
        {
            assert!(members(text, ["a"]).is_none(), "{text}");
        }
        for text in ["", "1", "{}", "[1", "[1] x", "[1,]", "[1 2]"] {
            assert!(elements(text, 1).is_none(), "{text}");
        }
        assert!(check("[1e999]").is_ok() && check("[1e]").is_err());
    }

    #[test]
    fn at_most_the_requested_number_of_elements_is_kept() {
        for (most, kept, more) in [(0, 0, true), (2, 2, true), (3, 3, false), (9, 3, false)] {
            let (elements, others) = elements("[1, 1e999, [3]]", most).unwrap();
            assert_eq!((elements.len(), others), (kept, more));
        }
    }
}
