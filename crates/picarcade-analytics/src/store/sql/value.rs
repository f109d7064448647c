//! Values as both databases store them.
//!
//! Text has no NUL characters: PostgreSQL cannot store NUL, and no user means it.

use std::borrow::Cow;

use serde_json::Value;

use crate::Error;

/// Converts money to the type of the databases.
pub(crate) fn money(micros: u64) -> Result<i64, Error> {
    i64::try_from(micros).map_err(|_| unfit("an amount of money is out of range"))
}

/// Returns the error for a value that does not fit its column.
pub(crate) fn unfit(why: &'static str) -> Error {
    Error::Rejected { code: "encode".to_owned(), source: why.into() }
}

/// Converts a count from the database.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Returns the text without NUL.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// Returns the JSON of a value, without NUL in any string or key.
pub(crate) fn clean_json(value: &Value) -> String {
    let json = value.to_string();
    // NUL in JSON is always this escape. A similar text (an escaped backslash first) stays
    // unchanged.
    if json.contains("\\u0000") { cleaned(value).to_string() } else { json }
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text).into_owned()),
        Value::Array(values) => values.iter().map(cleaned).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (clean(key).into_owned(), cleaned(value))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_nul_goes() {
        assert!(matches!(clean("a\u{1}\u{feff}é"), Cow::Borrowed("a\u{1}\u{feff}é")));
        assert_eq!(clean("\0a\0\0b\0"), "ab");
    }

    #[test]
    fn json_is_cleaned_at_every_depth() {
        assert_eq!(
            clean_json(&json!({ "a\0": ["\0b", 1, null, { "c": "d\0" }] })),
            r#"{"a":["b",1,null,{"c":"d"}]}"#
        );
        let looks_like_it = json!("\\u0000");
        assert_eq!(clean_json(&looks_like_it), looks_like_it.to_string());
    }
}
