//! Schemas of values with a rule of their own: ids, URLs and closed sets of words. The bounds are
//! those of the validation.

use picarcade_breaker::State;
use picarcade_cache::CacheSource;
use picarcade_intent::Prompt;
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::id::MAX_ID_BYTES;
use crate::session::store::SessionUpdate;
use crate::validate::{MAX_COMMENT_CHARS, MAX_MEDIA, MAX_URL_BYTES};

// The patterns mean the same in ECMAScript, with and without its flag `u`, and in Python: they name
// the white space, of which each language has its own set, and no character beyond the first plane.

/// The ids that are not blank and contain no control characters.
const ID: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*\
    [^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]\
    [^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// The prompts with at least one visible character. Tags beyond the first plane (U+E0000 to
/// U+E0FFF) are invisible too, which the validation alone knows.
const VISIBLE: &str = "[^\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f-\\u1160\\u1680\
    \\u17b4-\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\
    \\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb]";

/// The texts that are not blank.
const NOT_BLANK: &str =
    "[^\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";

/// The schema of an id of a user or a session.
#[derive(Debug)]
pub struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        id().into()
    }
}

impl ToSchema for Id {}

/// One of the two media, because setting one clears the other.
impl PartialSchema for SessionUpdate {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new()
            .property("working_image", nullable_url())
            .property("working_video", nullable_url())
            .property("metadata", nullable(ObjectBuilder::new().build()))
            .description(Some("A change of a session. Setting one medium clears the other."))
            .build();
        let both = json!({
            "required": ["working_image", "working_video"],
            "properties": {"working_image": {"type": "string"}, "working_video": {"type": "string"}},
        });
        with_keyword(schema, "not", both).into()
    }
}

impl ToSchema for SessionUpdate {}

/// Returns the schema of an id.
pub fn id() -> Object {
    string()
        .min_length(Some(1))
        .max_length(Some(MAX_ID_BYTES))
        .pattern(Some(ID))
        .description(Some(format!("At most {MAX_ID_BYTES} bytes of UTF-8, no control characters, not blank")))
        .build()
}

/// Returns the schema of an id that may be null.
pub fn nullable_id() -> Object {
    nullable(id())
}

/// The schema of the id of a user that may be empty, which names no user.
#[derive(Debug)]
pub struct IdOrEmpty;

impl PartialSchema for IdOrEmpty {
    fn schema() -> RefOr<Schema> {
        let mut schema = id();
        schema.min_length = None;
        schema.pattern = Some(format!("^$|{ID}"));
        schema.into()
    }
}

impl ToSchema for IdOrEmpty {}

/// Returns the schema of one of these words.
pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    string().enum_values(Some(words)).build()
}

/// Returns the schema of a prompt.
pub(crate) fn prompt() -> Object {
    string()
        .min_length(Some(1))
        .max_length(Some(Prompt::MAX_CHARS))
        .pattern(Some(VISIBLE))
        .description(Some("The words of the user: at least one visible character"))
        .examples(["make the sky purple"])
        .build()
}

/// Returns the schema of the URL of a medium.
pub(crate) fn url() -> Object {
    string()
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .max_length(Some(MAX_URL_BYTES))
        .description(Some("http or https; stored and passed on, never fetched"))
        .build()
}

/// Returns the schema of a URL that may be null.
pub(crate) fn nullable_url() -> Object {
    nullable(url())
}

/// Returns the schema of a comment of a user.
pub(crate) fn comment() -> Object {
    let comment = string()
        .min_length(Some(1))
        .max_length(Some(MAX_COMMENT_CHARS))
        .pattern(Some(NOT_BLANK))
        .description(Some("The words of the user about it, stored like a prompt: not blank"))
        .examples(["it should move"]);
    nullable(comment.build())
}

/// Returns the schema of a list of uploads.
pub(crate) fn uploads() -> ArrayBuilder {
    let description = "The uploads of the user with this request, in upload order";
    ArrayBuilder::new().items(url()).max_items(Some(MAX_MEDIA)).description(Some(description))
}

/// Returns the schema of a list of references.
pub(crate) fn references() -> ArrayBuilder {
    let reference = ObjectBuilder::new()
        .property("url", url())
        .required("url")
        .property("tag", id())
        .required("tag")
        .build();
    ArrayBuilder::new().items(reference).max_items(Some(MAX_MEDIA)).description(Some(
        "The stored or found images that the prompt refers to. Two images with one tag are 422, and so is \
         a tag that names another image of the request (`reference_1` and so on for uploads, \
         `working_image`, `working_video`)",
    ))
}

/// Returns the schema of the source of a cached part.
pub(crate) fn cache_source() -> Object {
    use CacheSource::{Bypass, L1, L2, Loaded, Stale};
    words([L1, L2, Stale, Loaded, Bypass].map(CacheSource::as_str))
}

/// Returns the schema of the state of a provider's breaker, or `none` without a provider.
pub(crate) fn provider_state() -> Object {
    let mut schema = words(State::ALL.map(State::as_str).into_iter().chain(["none"]));
    schema.description = Some("The state of the provider's breaker; `none` without a provider".to_owned());
    schema
}

/// Returns the schema of a number from 0 to `maximum` that may be null.
pub(crate) fn nullable_number(maximum: f64, description: &str) -> Object {
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
        .minimum(Some(0.0))
        .maximum(Some(maximum))
        .description(Some(description));
    nullable(number.build())
}

/// Returns the schema with a keyword that has no field of its own in utoipa.
pub fn with_keyword(mut schema: Object, keyword: &str, value: Value) -> Object {
    schema.extensions.get_or_insert_with(Extensions::default).insert(keyword.to_owned(), value);
    schema
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn nullable(mut schema: Object) -> Object {
    if let SchemaType::Type(own) = schema.schema_type {
        schema.schema_type = SchemaType::Array(vec![own, Type::Null]);
    }
    schema
}
