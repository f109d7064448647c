//! Bodies of any type. The problem names the first wrong field.

use std::borrow::Cow;
use std::marker::PhantomData;

use hyper::StatusCode;
use picarcade_flow::openapi::nullable_id;
use picarcade_flow::{FieldProblem, UserId};
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::identity::parse_user_id;
use crate::http::json;
use crate::http::problem::Problem;

/// Returns the text of a body. JSON is UTF-8 (RFC 8259, section 8.1), also in ignored fields.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let place = format!("the body is not UTF-8 (at byte {})", error.valid_up_to());
        Problem::new(StatusCode::BAD_REQUEST, place)
    })
}

/// Parses a body of any type. The problem names the first wrong field.
pub(crate) fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = text(bytes)?;
    if !is_object(text) {
        json::check(text).map_err(|error| malformed(&error))?;
        return Err(not_an_object());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // serde has read only a part of the text; the rest may not be JSON.
        if let Err(error) = json::check(text) {
            return malformed(&error);
        }
        let mut pointer = pointer(error.path());
        let error = error.into_inner().to_string();
        let detail = detail(&error);
        if let Some(missing) = error.strip_prefix("missing field `") {
            pointer.push('/');
            pointer.push_str(missing.split('`').next().unwrap_or_default());
        }
        Problem::fields(vec![FieldProblem::new(pointer, detail)])
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

/// Returns what serde expected, in terms of JSON instead of Rust.
fn in_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// Returns what a field must be, from serde's text about it: `invalid type: string "x", expected a
/// boolean at line 1 column 9`. The client's value stands before the last "expected" and is not
/// repeated.
fn detail(error: &str) -> String {
    let words = error.rsplit_once(" at line ").map_or(error, |(words, _)| words);
    if words.starts_with("missing field") {
        "is missing".to_owned()
    } else if words == "number out of range" {
        "is a number out of range".to_owned()
    } else if words == "recursion limit exceeded" {
        "is nested too deeply".to_owned()
    } else if let Some((_, expected)) = words.rsplit_once(", expected ") {
        format!("must be {}", in_words(expected))
    } else {
        "is not valid".to_owned()
    }
}

pub(super) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

pub(super) fn not_an_object() -> Problem {
    Problem::fields(vec![FieldProblem::new("", "must be an object")])
}

/// Parses a body of any type, and the `user_id` in it that names the end user.
pub(crate) fn parse_with_user<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Option<UserId>), Problem> {
    #[derive(serde::Deserialize)]
    struct Named {
        user_id: Option<String>,
    }
    let (parsed, user) = (parse_as(bytes)?, parse_as::<Named>(bytes)?.user_id);
    Ok((parsed, parse_user_id(user)?))
}

/// The description of a body that [`parse_with_user`] reads.
pub(crate) struct WithUser<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for WithUser<T> {
    fn schema() -> RefOr<Schema> {
        let user = ObjectBuilder::new().property("user_id", nullable_id());
        AllOfBuilder::new().item(T::schema()).item(user).into()
    }
}

impl<T: ToSchema> ToSchema for WithUser<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// Returns a path of serde as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Returns the problem with a text that is not JSON.
pub(crate) fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_names_its_first_wrong_field_and_repeats_nothing() {
        for (text, pointer) in [
            (r#"{"success": "secret words"}"#, "/success"),
            (r#"{"success": "a, expected secret words at line 1, expected more"}"#, "/success"),
            (r#"{"success": true, "error_kind": "x, expected secret words at line 2"}"#, "/error_kind"),
            (r#"{"success": true, "actual_cost": 1e999}"#, "/actual_cost"),
            (r#"{"success": true, "error_kind": "\ud800"}"#, "/error_kind"),
            ("{}", "/success"),
        ] {
            let problem = parse_as::<picarcade_flow::OutcomeReport>(text.as_bytes()).unwrap_err().to_value();
            assert_eq!(
                (&problem["status"], &problem["errors"][0]["pointer"]),
                (&json!(422), &json!(pointer))
            );
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
        let deep = format!(r#"{{"metadata": {}{}}}"#, "[".repeat(300), "]".repeat(300));
        for text in [deep.as_str(), r#"{"metadata": {"a": [1e999]}}"#, r#"{"metadata": "\ud800"}"#] {
            let problem = parse_as::<picarcade_flow::SessionUpdate>(text.as_bytes()).unwrap_err().to_value();
            assert_eq!(problem["status"], 422, "{problem}");
            let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
            assert!(pointer.starts_with("/metadata"), "{problem}");
        }
        let status =
            |text: &[u8]| parse_as::<serde_json::Value>(text).unwrap_err().to_value()["status"].clone();
        assert_eq!(
            (status(b"[true]"), status(b"{} x"), status(b"{\"a\": \"\xff\"}")),
            (json!(422), json!(400), json!(400))
        );
        // The text is wrong at its beginning and malformed at its end.
        let report = parse_as::<picarcade_flow::OutcomeReport>(br#"{"success": 1, "#);
        assert_eq!(report.unwrap_err().to_value()["status"], 400);
        let detail = |text: &str| {
            let parsed = parse_as::<picarcade_flow::OutcomeReport>(text.as_bytes());
            parsed.unwrap_err().to_value()["errors"][0]["detail"].clone()
        };
        assert_eq!(detail(r#"{"success": "secret words"}"#), "must be true or false");
        for cost in ["{}", r#""a, expected secret at line 1""#] {
            let body = format!("{{\"success\": true, \"actual_cost\": {cost}}}");
            assert_eq!(detail(&body), "must be a number");
        }
    }
}
