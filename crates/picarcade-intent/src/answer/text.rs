//! Finds the answer in what a text model wrote.
//!
//! # What counts
//!
//! Models think aloud: they write drafts in `<think>` tags, in code fences and in earlier text, and
//! then the answer. The last complete answer outside of thoughts counts. Tags are read outside of
//! JSON objects only, so a prompt about `</think>` stays what it is.
//!
//! A closing tag without an opening one makes everything before it a thought: some servers put the
//! opening tag into the question. A thought without an end has no answer after it.
//!
//! # Bounds
//!
//! Each brace may begin an object, and an attempt to read one may run to the end of the text. The
//! bytes that all failed attempts read are bounded by a multiple of the length of the text.

use serde_json::Value;

use super::unusable::Unusable;

/// The bytes that failed attempts may read, per byte of the text and in total for a short one.
const ATTEMPTS_PER_BYTE: usize = 16;
const MIN_BUDGET: usize = 64 * 1024;

/// The names of tags around thoughts, in angle brackets.
const THOUGHTS: [&str; 8] =
    ["think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "analysis"];

/// The longest tag that is recognized, in bytes.
const MAX_TAG_BYTES: usize = 64;

/// What stands at a brace.
enum Object {
    /// A complete object and its length.
    Complete(Value, usize),
    /// The beginning of an object, up to the end of the text.
    Cut,
    /// Something else, which shows after this many bytes.
    Other(usize),
}

/// A tag around a thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Open,
    Close,
}

/// Returns the last answer in a text, as `read` reads it from an object.
pub(super) fn last_answer<T>(text: &str, read: &dyn Fn(Value) -> Result<T, Unusable>) -> Result<T, Unusable> {
    let mut budget = text.len().saturating_mul(ATTEMPTS_PER_BYTE).max(MIN_BUDGET);
    let mut found = None;
    let mut is_cut = false;
    let mut thoughts = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '<', '[', '◁']) {
        rest = rest.get(at..).unwrap_or_default();
        let mut length = rest.chars().next().map_or(1, char::len_utf8);
        if rest.starts_with('{') {
            let read_bytes = match object(rest) {
                Object::Complete(value, end) => {
                    length = end;
                    // An incomplete answer is a remark, such as a summary of the answer before it.
                    if thoughts == 0
                        && let Some(answer) = complete(read(value))
                    {
                        found = Some(answer);
                    }
                    0
                }
                Object::Cut if thoughts == 0 => {
                    if rest.contains("\"prompt_type\"") {
                        return Err(Unusable::Truncated);
                    }
                    is_cut = true;
                    rest.len()
                }
                Object::Cut => rest.len(),
                Object::Other(end) => end,
            };
            let Some(left) = budget.checked_sub(read_bytes) else { return Err(Unusable::Malformed) };
            budget = left;
        } else if let Some((tag, end)) = tag(rest) {
            length = end;
            match tag {
                Tag::Open => thoughts += 1,
                Tag::Close if thoughts > 0 => thoughts -= 1,
                Tag::Close => (found, is_cut) = (None, false),
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    let otherwise = if is_cut || thoughts > 0 { Unusable::Truncated } else { Unusable::Malformed };
    found.unwrap_or(Err(otherwise))
}

/// Returns an answer that has all its fields, of a known type or not.
fn complete<T>(answer: Result<T, Unusable>) -> Option<Result<T, Unusable>> {
    (!matches!(answer, Err(Unusable::Malformed))).then_some(answer)
}

fn object(text: &str) -> Object {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Object::Complete(value, values.byte_offset().max(1)),
        Some(Err(error)) if error.is_eof() => Object::Cut,
        Some(Err(error)) => {
            let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            Object::Other(lines.map(str::len).sum::<usize>() + error.column())
        }
        None => Object::Other(1),
    }
}

/// Returns the tag at the beginning of a text and its length.
fn tag(text: &str) -> Option<(Tag, usize)> {
    let mut chars = text.chars();
    let (end, names): (char, &[&str]) = match chars.next()? {
        '<' => ('>', &THOUGHTS),
        '[' => (']', &["think"]),
        '◁' => ('▷', &["think"]),
        _ => return None,
    };
    let inner = chars.as_str();
    let (at, _) = inner.char_indices().take_while(|(at, _)| *at < MAX_TAG_BYTES).find(|(_, c)| *c == end)?;
    let inner = inner.get(..at)?;
    let length = text.len() - chars.as_str().len() + at + end.len_utf8();
    let (tag, name) = inner.strip_prefix('/').map_or((Tag::Open, inner), |name| (Tag::Close, name));
    // A tag may have attributes; one that closes itself encloses nothing.
    let name = name.split_whitespace().next().unwrap_or_default();
    let is_thought = names.iter().any(|known| name.eq_ignore_ascii_case(known));
    (is_thought && !inner.ends_with('/')).then_some((tag, length))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answer::Answer;

    fn answer(prompt: &str) -> String {
        json!({
            "prompt_type": "EDIT_IMAGE", "enhanced_prompt": prompt, "confidence": 0.5, "reasoning": "r",
        })
        .to_string()
    }

    fn found(text: &str) -> Result<String, Unusable> {
        Answer::from_text(text, 0).map(|answer| answer.enhanced_prompt)
    }

    #[test]
    fn the_last_complete_answer_wins() {
        let (draft, last) = (answer("draft"), answer("last"));
        for text in [
            format!("{draft}{last}"),
            format!("```json\n{draft}\n```\nBetter:\n```json\n{last}\n```"),
            format!("<think>{draft}</think>{last}"),
            format!("<THINKING mode=\"deep\">{draft}</Thinking>\n{last}"),
            format!("{last}<think>or {draft}?</think>"),
            format!("{draft}</think>{last}"),
            format!("<think>a <think>b</think> {draft}</think> {last}"),
            format!("<think>{}</think>{last}", answer("a draft about </think>")),
            format!("<think>{{\"prompt_type\": \"{draft}</think>{last}"),
            format!("[THINK]{draft}[/THINK]{last}"),
            format!("◁think▷{draft}◁/think▷{last}"),
            format!("{last}\nIn short: {{\"prompt_type\": \"NEW_IMAGE\"}} or {{curly}} {{"),
            format!("if (a) {{ {{b}} }} {} {last}", "{x} ".repeat(1_000)),
            format!("<think/>{last}"),
            format!("[1] {last} [2]"),
        ] {
            assert_eq!(found(&text).as_deref(), Ok("last"), "{text:.200}");
        }
    }

    #[test]
    fn braces_and_tags_in_strings_are_text() {
        for words in
            ["} { \" \\", "<think>", "</think>", "a </think> b <think> c", "```", "{\"prompt_type\": 1}"]
        {
            assert_eq!(found(&answer(words)).as_deref(), Ok(words));
        }
    }

    #[test]
    fn a_draft_never_replaces_a_missing_answer() {
        let draft = answer("draft");
        for (text, reason) in [
            (format!("<think>{draft}"), Unusable::Truncated),
            (format!("<think>{draft}</think>"), Unusable::Malformed),
            (format!("{draft}</think>"), Unusable::Malformed),
            (format!("<think><think>{draft}</think>{draft}"), Unusable::Truncated),
            (format!("{draft} {{\"prompt_type\": \"NEW_"), Unusable::Truncated),
            (format!("{draft}{}", draft.replace("EDIT_IMAGE", "PAINT")), Unusable::UnknownType),
        ] {
            assert_eq!(found(&text), Err(reason), "{text:.200}");
        }
    }

    #[test]
    fn reading_is_bounded() {
        let nested = "{\"a\":".repeat(40_000);
        let lists = format!("{}{}", "{\"a\":[".repeat(120), "1,".repeat(100_000));
        let strings = "{\"a\": \"b\", ".repeat(20_000);
        for text in
            [nested, lists, strings, "{".repeat(200_000), "<think".repeat(40_000), "<".repeat(200_000)]
        {
            assert!(found(&text).is_err());
        }
    }
}
