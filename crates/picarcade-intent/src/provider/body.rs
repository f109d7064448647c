//! JSON as gateways write it.

use serde_json::Value;

/// Reads a body that may have a byte order mark, bytes that are not UTF-8, or numbers that JSON
/// does not have, such as `NaN` and `1e999`. Those numbers become null: the rest of a response
/// must not be lost with an odd count in it.
///
/// Returns null for a body that is not JSON. Of duplicate keys the last one counts.
pub(super) fn json(body: &[u8]) -> Value {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        serde_json::from_str(&without_odd_numbers(&text)).unwrap_or_default()
    })
}

/// Replaces words outside of strings that are no JSON values.
fn without_odd_numbers(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let is_odd = is_word(first) && serde_json::from_str::<Value>(part).is_err();
        json.push_str(if is_odd { "null" } else { part });
        rest = after;
    }
    json
}

/// The length of the string at the beginning of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_odd_number_does_not_invalidate_the_body() {
        for (body, expected) in [
            ("{\"a\": NaN, \"b\": [1e999, -Infinity, 2]}", json!({"a": null, "b": [null, null, 2]})),
            ("\u{feff}{\"a\": 1}", json!({"a": 1})),
            ("{\"a\": NaN, \"b\": \"NaN \\\" 1e999\"}", json!({"a": null, "b": "NaN \" 1e999"})),
            ("\n\n{\"a\": 1, \"a\": 2}\n", json!({"a": 2})),
            ("{\"a\": 1", Value::Null),
            ("<html>502</html>", Value::Null),
            ("", Value::Null),
            ("{\"a\": NaN, \"b", Value::Null),
        ] {
            assert_eq!(json(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(json(b"{\"a\": \"caf\xe9\"}"), json!({"a": "caf\u{fffd}"}));
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(text in "\\PC{0,40}", number in any::<f64>()) {
            let body = json!({"text": text, "number": number, "list": [true, null, text]});
            prop_assert_eq!(without_odd_numbers(&body.to_string()), body.to_string());
        }
    }
}
