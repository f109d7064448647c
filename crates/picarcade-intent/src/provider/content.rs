//! Where an answer is in a message, in the notations that servers share.

use serde_json::Value;

use crate::answer::{Answer, Unusable};

/// Returns the text of a message: one text, or the text parts of a list in order.
///
/// Thinking, refusals, images and parts of unknown types are left out. An answer may be split over
/// several parts, so nothing is put between them.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        _ => String::new(),
    }
}

fn part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        _ if matches!(part["type"].as_str(), None | Some("text" | "output_text")) => part["text"].as_str(),
        _ => None,
    }
}

/// Whether a message says that the model declines, in a field of its own or in a part.
pub(super) fn is_refused(message: &Value) -> bool {
    let is_stated = |part: &Value| part["refusal"].as_str().is_some_and(|text| !text.trim().is_empty());
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    is_stated(message) || parts.iter().any(is_stated)
}

/// Returns the answer of a message: of its last tool call that has one, or else of its text.
///
/// A model that uses the tool may write text before the call, and that text is no answer.
pub(super) fn answer<'a>(
    tools: impl DoubleEndedIterator<Item = &'a Value>,
    text: &str,
    cost_micros: u64,
) -> Result<Answer, Unusable> {
    let mut mistake = None;
    for tool in tools.rev() {
        match Answer::from_field(tool, cost_micros) {
            Err(Unusable::Missing) => {}
            Err(Unusable::Malformed) => mistake = Some(Unusable::Malformed),
            read => return read,
        }
    }
    if text.trim().is_empty() {
        return Err(mistake.unwrap_or(Unusable::Missing));
    }
    Answer::from_text(text, cost_micros)
}

/// Returns why a message is no answer, from the reason for which the model stopped.
///
/// Gateways pass on the words of other vendors, so all words are known for all of them.
pub(super) fn stopped(reason: Option<&str>) -> Option<Unusable> {
    match reason?.to_ascii_lowercase().as_str() {
        "refusal" | "content_filter" | "safety" | "sensitive" | "prohibited_content" => {
            Some(Unusable::Refusal)
        }
        "max_tokens" | "max_output_tokens" | "length" | "model_length" | "model_context_window_exceeded" => {
            Some(Unusable::Truncated)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_found_in_every_notation() {
        for (content, expected) in [
            (json!("a"), "a"),
            (json!(["a", "b"]), "ab"),
            (json!([{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}]), "ab"),
            (json!([{"type": "thinking", "thinking": "t", "text": "t"}, {"text": "a"}]), "a"),
            (json!([{"type": "refusal", "refusal": "no"}, 7, null, {"type": "text", "text": 7}]), ""),
            (json!(null), ""),
            (json!({"text": "a"}), ""),
        ] {
            assert_eq!(text(&content), expected, "{content}");
        }
    }

    #[test]
    fn a_tool_call_wins_over_text_and_the_last_call_over_others() {
        let object = |prompt_type: &str| json!({"prompt_type": prompt_type, "enhanced_prompt": "e", "confidence": 1, "reasoning": ""});
        let (image, video) = (object("NEW_IMAGE"), object("NEW_VIDEO"));
        let read = |tools: &[Value], text: &str| {
            answer(tools.iter(), text, 0).map(|answer| answer.prompt_type.as_str())
        };
        assert_eq!(read(std::slice::from_ref(&video), &image.to_string()), Ok("NEW_VIDEO"));
        assert_eq!(read(&[image.clone(), video.clone()], ""), Ok("NEW_VIDEO"));
        assert_eq!(read(&[video.to_string().into(), json!({})], ""), Ok("NEW_VIDEO"));
        assert_eq!(read(&[json!({})], &image.to_string()), Ok("NEW_IMAGE"));
        assert_eq!(read(&[json!({})], " "), Err(Unusable::Malformed));
        assert_eq!(read(&[Value::Null, "".into()], ""), Err(Unusable::Missing));
        assert_eq!(read(&[json!("{\"prompt_type\": ")], ""), Err(Unusable::Truncated));
    }
}
