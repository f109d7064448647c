//! Briefs of keys and values.
//!
//! A member such as `"audio": false`, or a line such as `Music: none`, refuses what its key names.
//! For a classifier of words, the key alone would ask for it, so these members are removed from
//! what the local classifier reads.

use std::borrow::Cow;

/// The longest key, in bytes. The bound keeps the search linear.
const MAX_KEY: usize = 40;
/// The most words of a key without quotes. Longer ones are sentences.
const MAX_KEY_WORDS: usize = 3;
/// What separates members without quotes.
const SEPARATORS: [char; 3] = ['\n', ';', '|'];
/// The values without quotes that refuse what their key names, in lower case.
const REFUSING_WORDS: [&str; 7] = ["none", "no", "off", "false", "null", "n/a", "mute"];
/// The values of JSON that refuse what their key names, in lower case.
const REFUSALS: [&str; 8] = ["false", "null", "\"none\"", "\"no\"", "\"off\"", "\"false\"", "\"\"", "[]"];

/// Returns a text without the members that refuse what their key names.
pub(crate) fn without_refusals(text: &str) -> Cow<'_, str> {
    match without_refusing_json(text) {
        Cow::Borrowed(text) => without_refusing_lines(text),
        Cow::Owned(text) => Cow::Owned(without_refusing_lines(&text).into_owned()),
    }
}

fn without_refusing_lines(text: &str) -> Cow<'_, str> {
    if !text.split(SEPARATORS).any(refuses) {
        return Cow::Borrowed(text);
    }
    text.split_inclusive(SEPARATORS).filter(|member| !refuses(member.trim_end_matches(SEPARATORS))).collect()
}

/// Returns whether a member without quotes, such as `- Music: none`, refuses what its key names.
fn refuses(member: &str) -> bool {
    let Some((key, value)) = member.split_once(':') else { return false };
    let key = key.trim().trim_start_matches(['-', '*', ' ']);
    let is_key = (1..=MAX_KEY).contains(&key.len())
        && key.split_whitespace().count() <= MAX_KEY_WORDS
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-'));
    let value = value.trim().trim_end_matches(['.', ',']);
    is_key && REFUSING_WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn without_refusing_json(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut from = 0;
    for (start, _) in text.match_indices('"') {
        if start >= from
            && let Some(length) = text.get(start..).and_then(refusal)
        {
            kept.push_str(text.get(from..start).unwrap_or_default());
            from = start + length;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(kept)
}

/// Returns the length of the refusing member at the beginning of a text, with a comma after it.
fn refusal(text: &str) -> Option<usize> {
    let key = text.get(1..)?.bytes().take(MAX_KEY + 1).position(|byte| byte == b'"')?;
    let value = text.get(key + 2..)?.trim_start().strip_prefix(':')?.trim_start();
    let starts_with =
        |word: &&&str| value.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word));
    let word = REFUSALS.iter().find(starts_with)?;
    let after = value.get(word.len()..)?;
    let next = after.trim_start();
    if !(next.is_empty() || next.starts_with([',', '}', ']'])) {
        return None;
    }
    let rest = next.strip_prefix(',').unwrap_or(after);
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_that_refuse_are_removed() {
        for (text, kept) in [
            (r#"{"scene": "a kitchen", "audio": false, "fps": 24}"#, r#"{"scene": "a kitchen",  "fps": 24}"#),
            (r#"{"audio" : "None"}"#, "{}"),
            (r#"{"music":null,"sound":"off"}"#, "{}"),
            (r#"{"audio": "false alarm"}"#, r#"{"audio": "false alarm"}"#),
            (r#"{"audio": falsetto}"#, r#"{"audio": falsetto}"#),
            (r#"{"audio": true, "no": "none at all"}"#, r#"{"audio": true, "no": "none at all"}"#),
            (r#"say "none": false hope"#, r#"say "none": false hope"#),
            ("a red fox", "a red fox"),
            ("Scene: a kitchen\nMusic: none\nFPS: 24", "Scene: a kitchen\nFPS: 24"),
            ("scene: a harbor; audio: No.; duration: 5s", "scene: a harbor; duration: 5s"),
            ("- sound effects: off", ""),
            ("Music: none of the old songs", "Music: none of the old songs"),
            ("she looks at the camera and says: no", "she looks at the camera and says: no"),
        ] {
            assert_eq!(without_refusals(text), kept, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_rest_of_any_text_stays(text in "[\"a: ,{}\\[\\]né]{0,40}", more in any::<String>()) {
            let text = text + &more;
            let kept = without_refusals(&text);
            prop_assert!(kept.len() <= text.len());
            let mut left = text.chars();
            prop_assert!(kept.chars().all(|kept| left.any(|c| c == kept)));
        }
    }
}
