//! The body of a request to classify. The problem names every wrong field.

use picarcade_flow::{FieldProblem, FlowRequest, MAX_MEDIA};
use picarcade_intent::{Media, ReferenceImage};
use serde_json::value::RawValue;

use super::parse::{is_object, malformed, not_an_object, text};
use crate::http::json;
use crate::http::problem::Problem;

/// Parses a request.
pub(crate) fn parse_request(bytes: &[u8]) -> Result<FlowRequest, Problem> {
    parse_request_text(text(bytes)?)
}

/// Parses a request. If serde cannot parse the text, it is read again field by field, to name the
/// wrong ones.
pub(crate) fn parse_request_text(text: &str) -> Result<FlowRequest, Problem> {
    // serde would accept a list for a struct, field by field.
    if is_object(text)
        && let Ok(request) = serde_json::from_str::<FlowRequest>(text)
        // serde treats a missing prompt as an empty one.
        && !request.prompt.is_empty()
    {
        return Ok(request);
    }
    let names = [
        "prompt",
        "active_image",
        "active_video",
        "uploaded_image",
        "referenced_image",
        "user_id",
        "session_id",
        "context",
        "reserve",
    ];
    let Some(members) = json::members(text, names) else {
        json::check(text).map_err(|error| malformed(&error))?;
        return Err(not_an_object());
    };
    let [
        prompt,
        active_image,
        active_video,
        uploaded_image,
        referenced_image,
        user_id,
        session_id,
        context,
        reserve,
    ] = members;
    let mut fields = Fields::default();
    let request = FlowRequest {
        prompt: fields.required(prompt, "/prompt"),
        user_id: fields.string(user_id, "/user_id"),
        session_id: fields.string(session_id, "/session_id"),
        active_image: fields.boolean(active_image, "/active_image"),
        active_video: fields.boolean(active_video, "/active_video"),
        uploaded_image: fields.boolean(uploaded_image, "/uploaded_image"),
        referenced_image: fields.boolean(referenced_image, "/referenced_image"),
        reserve: fields.boolean(reserve, "/reserve"),
        context: fields.media(context),
        // A request that serde cannot read has no warnings.
        warnings: Vec::new(),
    };
    if fields.0.is_empty() { Ok(request) } else { Err(Problem::fields(fields.0)) }
}

/// The reader of a request's fields, with the wrong ones so far.
#[derive(Default)]
struct Fields(Vec<FieldProblem>);

impl Fields {
    fn push(&mut self, pointer: impl Into<String>, detail: &str) {
        self.0.push(FieldProblem::new(pointer, detail));
    }

    fn required(&mut self, raw: Option<&RawValue>, pointer: &str) -> String {
        match raw.map(|raw| (raw.get(), serde_json::from_str(raw.get()))) {
            Some((_, Ok(text))) => return text,
            Some((raw, Err(_))) if raw.starts_with('"') => self.push(pointer, "must be valid Unicode"),
            Some(_) => self.push(pointer, "must be a string"),
            None => self.push(pointer, "is missing"),
        }
        String::new()
    }

    fn string(&mut self, raw: Option<&RawValue>, pointer: &str) -> Option<String> {
        present(raw).map(|raw| self.required(Some(raw), pointer))
    }

    fn boolean(&mut self, raw: Option<&RawValue>, pointer: &str) -> bool {
        match raw.map(RawValue::get) {
            None | Some("false") => return false,
            Some("true") => return true,
            Some(_) => self.push(pointer, "must be true or false"),
        }
        false
    }

    fn media(&mut self, raw: Option<&RawValue>) -> Media {
        let Some(raw) = present(raw) else { return Media::default() };
        let names = ["working_image", "working_video", "uploaded_images", "reference_images"];
        let Some([image, video, uploads, references]) = json::members(raw.get(), names) else {
            self.push("/context", "must be an object");
            return Media::default();
        };
        Media {
            working_image: self.string(image, "/context/working_image"),
            working_video: self.string(video, "/context/working_video"),
            uploaded_images: self.list(uploads, "/context/uploaded_images", |fields, upload, pointer| {
                fields.required(Some(upload), &pointer)
            }),
            reference_images: self.list(references, "/context/reference_images", Self::reference),
        }
    }

    /// Reads one element more than a list may have, so that validation refuses the list.
    fn list<T>(
        &mut self,
        raw: Option<&RawValue>,
        pointer: &str,
        element: impl Fn(&mut Self, &RawValue, String) -> T,
    ) -> Vec<T> {
        let Some(raw) = raw else { return Vec::new() };
        let Some((elements, _)) = json::elements(raw.get(), MAX_MEDIA + 1) else {
            self.push(pointer, "must be a list");
            return Vec::new();
        };
        let elements = elements.into_iter().enumerate();
        elements.map(|(index, raw)| element(self, raw, format!("{pointer}/{index}"))).collect()
    }

    fn reference(&mut self, raw: &RawValue, pointer: String) -> ReferenceImage {
        let Some([url, tag]) = json::members(raw.get(), ["url", "tag"]) else {
            self.push(pointer, "must be an object");
            return ReferenceImage { url: String::new(), tag: String::new() };
        };
        ReferenceImage {
            url: self.required(url, &format!("{pointer}/url")),
            tag: self.required(tag, &format!("{pointer}/tag")),
        }
    }
}

/// Returns the value unless it is `null`, which means the same as no value.
fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(text: &str) -> Vec<String> {
        let problem = parse_request_text(text).unwrap_err().to_value();
        assert_eq!(problem["status"], 422, "{problem}");
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_field_of_a_wrong_type_is_named() {
        let value = json!({
            "prompt": 1, "active_image": "yes", "session_id": [], "reserve": null,
            "context": {"uploaded_images": [1], "reference_images": [{"url": 1}, 2], "working_image": {}}
        });
        assert_eq!(
            pointers(&value.to_string()),
            [
                "/prompt",
                "/session_id",
                "/active_image",
                "/reserve",
                "/context/working_image",
                "/context/uploaded_images/0",
                "/context/reference_images/0/url",
                "/context/reference_images/0/tag",
                "/context/reference_images/1",
            ]
        );
        assert_eq!(pointers("{}"), ["/prompt"]);
        assert_eq!(pointers("[1]"), [""]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_a_wrong_field_where_it_is_read_and_ignored_elsewhere() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for odd in ["1e999", "-1e999", r#""\ud800""#, r#"{"\udc00": 1}"#, &deep] {
            assert_eq!(
                parse_request_text(&format!(r#"{{"prompt": "x", "odd": {odd}}}"#)).unwrap(),
                FlowRequest::new("x")
            );
            assert_eq!(
                parse_request_text(&format!(
                    r#"{{"odd": {odd}, "context": {{"odd": {odd}}}, "prompt": "x"}}"#
                ))
                .unwrap(),
                FlowRequest::new("x")
            );
            for field in ["prompt", "user_id", "active_image", "reserve"] {
                let text = format!(r#"{{"prompt": "x", "{field}": {odd}}}"#);
                assert_eq!(pointers(&text), [format!("/{field}")], "{text}");
            }
        }
        let keys = r#"{"\ud800": 1, "prompt": "x", "prompt": "y", "pr\u006fmpt": "z"}"#;
        assert_eq!(parse_request_text(keys).unwrap(), FlowRequest::new("z"));
        for malformed in
            [r#"{"prompt": "x", "odd": 1e}"#, r#"{"prompt": "x"} x"#, r#"{"prompt": 1, }"#, "{", ""]
        {
            assert_eq!(parse_request_text(malformed).unwrap_err().to_value()["status"], 400, "{malformed}");
        }
        assert_eq!(
            parse_request(b"{\"prompt\": \"x\", \"odd\": \"\xff\"}").unwrap_err().to_value()["status"],
            400
        );
    }

    #[test]
    fn a_list_of_wrong_elements_is_a_bounded_answer() {
        let wrong =
            format!(r#"{{"prompt": "x", "context": {{"uploaded_images": [{}1]}}}}"#, "1,".repeat(30_000));
        assert_eq!(pointers(&wrong).len(), picarcade_flow::MAX_PROBLEMS);
    }
}
