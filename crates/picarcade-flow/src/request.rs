//! A request: its fields, their deserialization and their validation.

use std::fmt;
use std::marker::PhantomData;

use picarcade_intent::{Facts, Media, Prompt, ReferenceImage};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::caller::Caller;
use crate::error::{FieldProblem, FlowError, MAX_PROBLEMS};
use crate::id::{SessionId, check_id};
use crate::misspelling::{MAX_WARNINGS, warn_if_misspelled};
use crate::validate::{MAX_MEDIA, check_media};

/// One request, as in the HTTP body. Unknown fields are ignored. Of a list of media longer than
/// [`MAX_MEDIA`], one element more is kept, so that validation can reject the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProcessRequest, description = "One request. Unknown fields are ignored."))]
#[cfg_attr(feature = "openapi", serde(default))]
pub struct FlowRequest {
    /// The user's prompt: 1 to 8,000 characters.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::prompt, required))]
    pub prompt: String,
    /// A working image is open.
    pub active_image: bool,
    /// A working video is open.
    pub active_video: bool,
    /// The user uploaded one or more images with this request.
    pub uploaded_image: bool,
    /// The prompt names stored references (`@name`) or found images.
    pub referenced_image: bool,
    /// The end user, if the body names one. The program decides about identity: the flow itself
    /// uses [`Caller`].
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::nullable_id))]
    pub user_id: Option<String>,
    /// The session whose working medium is used if the request states no facts and no media.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::nullable_id))]
    pub session_id: Option<String>,
    /// The media. Their URLs are passed on and never fetched.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Context>, default = json!(null)))]
    pub context: Media,
    /// Whether to reserve the estimated cost of the generation against the dollar limits.
    pub reserve: bool,
    /// Remarks about the request for its caller, which the answer repeats. Deserialization adds one
    /// for each unknown field that is nearly a known one, up to a bound.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub warnings: Vec<String>,
}

impl FlowRequest {
    /// Creates a request with a prompt and nothing else.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Returns the four facts of the request.
    pub const fn facts(&self) -> Facts {
        Facts {
            active_image: self.active_image,
            active_video: self.active_video,
            uploaded_image: self.uploaded_image,
            referenced_image: self.referenced_image,
        }
    }

    /// Checks every field and returns the parsed parts.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Invalid`] with one entry for each wrong field.
    pub(crate) fn validate(self, caller: &Caller) -> Result<Valid, FlowError> {
        let mut problems = Vec::new();
        let facts = self.facts();
        let prompt = match Prompt::new(self.prompt) {
            Ok(prompt) => Some(prompt),
            Err(error) => {
                problems.push(FieldProblem::new("/prompt", error.to_string()));
                None
            }
        };
        // The program may have taken the user from elsewhere, but the field must be valid anyway.
        let other = self.user_id.as_deref().filter(|user| *user != caller.user.as_str());
        if let Some(Err(error)) = other.map(check_id) {
            problems.push(error.at("/user_id"));
        }
        let session_id = self.session_id.map(SessionId::try_from).transpose();
        let session_id = session_id.unwrap_or_else(|error| {
            problems.push(error.at("/session_id"));
            None
        });
        check_media(&self.context, &mut problems);
        match prompt {
            Some(prompt) if problems.is_empty() => {
                let Self { context: media, reserve, warnings, .. } = self;
                Ok(Valid { prompt, facts, media, session_id, reserve, warnings })
            }
            _ => {
                problems.truncate(MAX_PROBLEMS);
                Err(FlowError::Invalid(problems))
            }
        }
    }
}

/// The parts of a request whose fields are valid.
#[derive(Clone, Debug)]
pub(crate) struct Valid {
    pub(crate) prompt: Prompt,
    pub(crate) facts: Facts,
    pub(crate) media: Media,
    pub(crate) session_id: Option<SessionId>,
    pub(crate) reserve: bool,
    pub(crate) warnings: Vec<String>,
}

/// The caller's control of the caches: `no-cache` and `no-store` of RFC 9111.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheControl {
    /// Reads and writes.
    #[default]
    Use,
    /// Skips reads and stores the new answer (`no-cache`).
    NoCache,
    /// Skips reads and writes (`no-store`).
    NoStore,
}

/// The fields of a request, without an allocation for the known ones.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Prompt,
    ActiveImage,
    ActiveVideo,
    UploadedImage,
    ReferencedImage,
    UserId,
    SessionId,
    Context,
    Reserve,
    Unknown(String),
}

/// The names of the fields of a request.
const FIELDS: [&str; 9] = [
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

/// Written by hand, because a derived implementation does not see the names of unknown fields. Of a
/// repeated field, the last one counts.
impl<'de> Deserialize<'de> for FlowRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = FlowRequest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlowRequest, A::Error> {
                let mut request = FlowRequest::default();
                while let Some(field) = map.next_key()? {
                    match field {
                        Field::Prompt => request.prompt = map.next_value()?,
                        Field::ActiveImage => request.active_image = map.next_value()?,
                        Field::ActiveVideo => request.active_video = map.next_value()?,
                        Field::UploadedImage => request.uploaded_image = map.next_value()?,
                        Field::ReferencedImage => request.referenced_image = map.next_value()?,
                        Field::UserId => request.user_id = map.next_value()?,
                        Field::SessionId => request.session_id = map.next_value()?,
                        Field::Reserve => request.reserve = map.next_value()?,
                        Field::Context => {
                            let context = map.next_value::<Option<Context>>()?.unwrap_or_default();
                            request.warnings.extend(context.warnings);
                            request.warnings.truncate(MAX_WARNINGS);
                            request.context = Media {
                                uploaded_images: context.uploaded_images.0,
                                reference_images: context.reference_images.0,
                                working_image: context.working_image,
                                working_video: context.working_video,
                            };
                        }
                        Field::Unknown(name) => {
                            warn_if_misspelled(&mut request.warnings, "", &name, &FIELDS);
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(request)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The media of a request.
#[derive(Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", serde(default))]
struct Context {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::uploads))]
    uploaded_images: List<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::references))]
    reference_images: List<ReferenceImage>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::nullable_url))]
    working_image: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::nullable_url))]
    working_video: Option<String>,
    #[cfg_attr(feature = "openapi", schema(ignore))]
    warnings: Vec<String>,
}

/// The fields of the media.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ContextField {
    UploadedImages,
    ReferenceImages,
    WorkingImage,
    WorkingVideo,
    Unknown(String),
}

/// The names of the fields of the media.
const CONTEXT_FIELDS: [&str; 4] = ["uploaded_images", "reference_images", "working_image", "working_video"];

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Context;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Context, A::Error> {
                let mut context = Context::default();
                while let Some(field) = map.next_key()? {
                    match field {
                        ContextField::UploadedImages => context.uploaded_images = map.next_value()?,
                        ContextField::ReferenceImages => context.reference_images = map.next_value()?,
                        ContextField::WorkingImage => context.working_image = map.next_value()?,
                        ContextField::WorkingVideo => context.working_video = map.next_value()?,
                        ContextField::Unknown(name) => {
                            warn_if_misspelled(&mut context.warnings, "/context", &name, &CONTEXT_FIELDS);
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(context)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A list whose elements beyond the first [`MAX_MEDIA`] + 1 are skipped. A body of small elements
/// would otherwise take many times its size in memory.
struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() <= MAX_MEDIA
                    && let Some(element) = elements.next_element()?
                {
                    kept.push(element);
                }
                if kept.len() > MAX_MEDIA {
                    while elements.next_element::<IgnoredAny>()?.is_some() {}
                }
                Ok(List(kept))
            }
        }

        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(request: FlowRequest) -> Vec<String> {
        match request.validate(&Caller::user("ann".parse().unwrap())) {
            Ok(_) => Vec::new(),
            Err(FlowError::Invalid(problems)) => {
                problems.into_iter().map(|problem| problem.pointer).collect()
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_wrong_field_is_named_in_one_error() {
        let request: FlowRequest = serde_json::from_value(serde_json::json!({
            "prompt": "   ",
            "user_id": "",
            "session_id": "a\u{7}b",
            "context": {
                "uploaded_images": ["https://ok.example/1.png", "ftp://x/2.png"],
                "reference_images": [{"url": "nonsense", "tag": ""}],
                "working_image": "http://",
                "working_video": "javascript:alert(1)",
            }
        }))
        .unwrap();
        assert_eq!(
            pointers(request),
            [
                "/prompt",
                "/user_id",
                "/session_id",
                "/context/uploaded_images/1",
                "/context/reference_images/0/url",
                "/context/reference_images/0/tag",
                "/context/working_image",
                "/context/working_video",
            ]
        );
    }

    #[test]
    fn two_images_with_one_name_are_rejected() {
        let reference =
            |url: &str, tag: &str| serde_json::json!({"url": format!("https://a.example/{url}"), "tag": tag});
        let request = |uploads: &[&str], references: Vec<serde_json::Value>| {
            let context = serde_json::json!({
                "uploaded_images": uploads, "reference_images": references, "working_image": "https://a.example/w"
            });
            serde_json::from_value(serde_json::json!({"prompt": "x", "context": context})).unwrap()
        };
        let upload = ["https://a.example/u"];
        let tag = |index: usize| format!("/context/reference_images/{index}/tag");
        assert_eq!(pointers(request(&upload, vec![reference("r", "@reference_1")])), [tag(0)]);
        assert_eq!(pointers(request(&[], vec![reference("r", "working_image")])), [tag(0)]);
        assert_eq!(pointers(request(&[], vec![reference("r", "hat"), reference("s", "@hat")])), [tag(1)]);
        let free = vec![reference("r", "reference_2"), reference("s", "hat"), reference("s", "@hat")];
        assert!(pointers(request(&upload, free)).is_empty());
        assert!(pointers(request(&[], vec![reference("r", "reference_1")])).is_empty());
    }

    #[test]
    fn a_list_that_is_too_long_is_truncated_and_rejected() {
        let references: Vec<_> = (0..20_000)
            .map(|n| serde_json::json!({"url": "https://a.example/r", "tag": n.to_string()}))
            .collect();
        let context = serde_json::json!({
            "uploaded_images": vec!["https://a.example/u"; MAX_MEDIA], "reference_images": references
        });
        let request: FlowRequest =
            serde_json::from_value(serde_json::json!({"prompt": "x", "context": context})).unwrap();
        assert_eq!(request.context.reference_images.len(), MAX_MEDIA + 1);
        assert_eq!(request.context.uploaded_images.len(), MAX_MEDIA);
        assert_eq!(pointers(request), ["/context/reference_images"]);
    }

    #[test]
    fn a_list_that_a_program_makes_too_long_is_rejected() {
        let mut request = FlowRequest::new("x");
        request.context.uploaded_images = vec!["no URL".to_owned(); 100_000];
        let pointers = pointers(request);
        assert_eq!((pointers.len(), pointers[0].as_str()), (MAX_PROBLEMS, "/context/uploaded_images"));
    }

    #[test]
    fn the_prompt_is_counted_in_characters() {
        assert!(pointers(FlowRequest::new("é".repeat(8000))).is_empty());
        assert_eq!(pointers(FlowRequest::new("é".repeat(8001))), ["/prompt"]);
    }

    #[test]
    fn unknown_fields_that_are_nearly_known_ones_are_warned_about_without_their_values() {
        let request: FlowRequest = serde_json::from_str(
            r#"{"promptt": "secret", "active_imgae": true, "\u0075serid": 1, "id": 7, "prompt": "x", "metadata": {"promt": 1},
                "context": {"working_imag": "secret", "prompt": [1e999], "uploaded_images": []}}"#,
        )
        .unwrap();
        assert_eq!(
            request.warnings,
            [
                "the unknown field \"promptt\" is ignored; it is nearly \"prompt\"",
                "the unknown field \"active_imgae\" is ignored; it is nearly \"active_image\"",
                "the unknown field \"userid\" is ignored; it is nearly \"user_id\"",
                "the unknown field \"working_imag\" in /context is ignored; it is nearly \"working_image\"",
            ]
        );
    }

    #[test]
    fn warnings_are_bounded() {
        let typos = r#""prompt1": 1, "#.repeat(1000);
        let context = r#""context": {"working_imag": 1}, "#.repeat(1000);
        let text = format!(r#"{{{context}{typos}{context}"prompt": "x"}}"#);
        let request: FlowRequest = serde_json::from_str(&text).unwrap();
        assert_eq!((request.warnings.len(), request.prompt.as_str()), (MAX_WARNINGS, "x"));
    }

    #[test]
    fn every_named_field_is_read() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};
        for name in FIELDS {
            let name: StrDeserializer<'_, Error> = name.into_deserializer();
            assert!(!matches!(Field::deserialize(name).unwrap(), Field::Unknown(_)));
        }
        for name in CONTEXT_FIELDS {
            let name: StrDeserializer<'_, Error> = name.into_deserializer();
            assert!(!matches!(ContextField::deserialize(name).unwrap(), ContextField::Unknown(_)));
        }
    }

    #[test]
    fn a_null_context_is_an_empty_context() {
        let request: FlowRequest =
            serde_json::from_str(r#"{"prompt": "x", "context": null, "user_id": null}"#).unwrap();
        assert_eq!(request, FlowRequest::new("x"));
    }
}
