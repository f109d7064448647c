//! A request, its caller, and the validation of both.
//!
//! Validation names up to [`MAX_PROBLEMS`] wrong fields at once, by JSON pointer, so that a caller
//! can correct them together. A request that fails here has consumed nothing and used no backend.
//!
//! The time to validate a request is linear in its size: lists are bounded before they are
//! validated, and so is every value that a parser handles in more than linear time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use picarcade_intent::{Facts, Media, Prompt, ReferenceImage};
use picarcade_ratelimit::Subjects;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::error::{FieldProblem, FlowError, MAX_PROBLEMS};
use crate::trace::Trace;

/// The longest `user_id` or `session_id`, in bytes: the longest subject of a limit.
pub const MAX_ID_BYTES: usize = picarcade_ratelimit::MAX_SUBJECT_BYTES;

/// The most uploads, and the most references, of one request.
pub const MAX_MEDIA: usize = 64;

/// The longest URL of a medium, in bytes.
const MAX_URL_BYTES: usize = 4096;

/// The longest host of a URL, in bytes. A name of the DNS is no longer, and the encoding of
/// international names takes time that grows with the square of their length.
const MAX_HOST_BYTES: usize = 255;

/// One request, as in the HTTP body. Unknown fields are ignored. Of a list of media longer than
/// [`MAX_MEDIA`], one element more is kept, so that validation can reject the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FlowRequest {
    /// The user's prompt: 1 to 8,000 characters.
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
    pub user_id: Option<String>,
    /// The session whose working medium is used if the request states no facts and no media.
    pub session_id: Option<String>,
    /// The media. Their URLs are passed on and never fetched.
    #[serde(deserialize_with = "bounded_media")]
    pub context: Media,
    /// Whether to reserve the estimated cost of the generation against the dollar limits.
    pub reserve: bool,
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
        check_id("/user_id", Some(&caller.user), &mut problems);
        if self.user_id.as_deref() != Some(&*caller.user) {
            // The program may have taken the user from elsewhere, but the field must be valid
            // anyway.
            check_id("/user_id", self.user_id.as_deref(), &mut problems);
        }
        check_id("/session_id", self.session_id.as_deref(), &mut problems);
        check_media(&self.context, &mut problems);
        match prompt {
            Some(prompt) if problems.is_empty() => Ok(Valid {
                prompt,
                facts,
                media: self.context,
                session_id: self.session_id,
                reserve: self.reserve,
            }),
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
    pub(crate) session_id: Option<String>,
    pub(crate) reserve: bool,
}

/// The authority of a caller over shared state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// An end user, whose reports on generations change no dollars and no breaker.
    #[default]
    EndUser,
    /// The operator of the service, such as the holder of an API key. Its reports on generations
    /// settle dollars and count for the breaker of the model's provider.
    Operator,
}

/// The authenticated caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The end user, part of the keys of limits, caches and tables.
    pub user: Arc<str>,
    /// The name (never the secret) of the API key that was presented.
    pub api_key: Option<Arc<str>>,
    /// The authority of the caller over shared state.
    pub authority: Authority,
    /// The requested endpoint, for the limits of scope ENDPOINT.
    pub endpoint: Cow<'static, str>,
    /// The trace of the request, if there is one.
    pub trace: Option<Arc<dyn Trace>>,
}

impl Caller {
    /// Creates an end user without an API key, at the endpoint `process`.
    pub fn user(user: impl Into<Arc<str>>) -> Self {
        Self {
            user: user.into(),
            api_key: None,
            authority: Authority::EndUser,
            endpoint: Cow::Borrowed("process"),
            trace: None,
        }
    }

    /// Returns this caller with the authority of the operator.
    ///
    /// Grant it only to a caller that may change the dollars and the breakers of every user.
    #[must_use]
    pub fn operator(mut self) -> Self {
        self.authority = Authority::Operator;
        self
    }

    /// Checks that the user can be a subject of the limits.
    pub(crate) fn check(&self) -> Result<(), FlowError> {
        let mut problems = Vec::new();
        check_id("/user_id", Some(&self.user), &mut problems);
        FlowError::unless_valid(problems)
    }

    /// Returns the subjects of the caller, for the limits.
    pub(crate) fn subjects(&self) -> Subjects<'_> {
        let subjects = Subjects::default().user(&*self.user).endpoint(&*self.endpoint);
        match &self.api_key {
            Some(name) => subjects.api_key(&**name),
            None => subjects,
        }
    }

    /// Returns this caller at another endpoint.
    #[must_use]
    pub fn at(mut self, endpoint: impl Into<Cow<'static, str>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Returns this caller with a trace that receives the paid calls of the request.
    #[must_use]
    pub fn traced(mut self, trace: Option<Arc<dyn Trace>>) -> Self {
        self.trace = trace;
        self
    }
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

/// Deserializes the media, or none for `null`, with at most one element too many of each list.
fn bounded_media<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Media, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Bounded {
        uploaded_images: List<String>,
        reference_images: List<ReferenceImage>,
        working_image: Option<String>,
        working_video: Option<String>,
    }
    let bounded = Option::<Bounded>::deserialize(deserializer)?.unwrap_or_default();
    Ok(Media {
        uploaded_images: bounded.uploaded_images.0,
        reference_images: bounded.reference_images.0,
        working_image: bounded.working_image,
        working_video: bounded.working_video,
    })
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

pub(crate) fn check_id(pointer: &str, id: Option<&str>, problems: &mut Vec<FieldProblem>) {
    let Some(id) = id else { return };
    if id.trim().is_empty() {
        problems.push(FieldProblem::new(pointer, "must not be empty"));
    } else if id.len() > MAX_ID_BYTES {
        problems.push(FieldProblem::new(pointer, format!("must have at most {MAX_ID_BYTES} bytes")));
    } else if id.chars().any(char::is_control) {
        problems.push(FieldProblem::new(pointer, "must not contain control characters"));
    }
}

pub(crate) fn check_url(pointer: impl FnOnce() -> String, url: &str, problems: &mut Vec<FieldProblem>) {
    if url.len() > MAX_URL_BYTES {
        problems.push(FieldProblem::new(pointer(), format!("must have at most {MAX_URL_BYTES} bytes")));
        return;
    }
    if host_bytes(url) > MAX_HOST_BYTES {
        let detail = format!("must have a host of at most {MAX_HOST_BYTES} bytes");
        problems.push(FieldProblem::new(pointer(), detail));
        return;
    }
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {}
        Ok(_) => problems.push(FieldProblem::new(pointer(), "must be an http or https URL")),
        Err(_) => problems.push(FieldProblem::new(pointer(), "is not a URL")),
    }
}

/// Returns the length of the host and port of a URL, as the WHATWG parser delimits them: after the
/// scheme and any slashes, up to the next slash, and without user information.
fn host_bytes(url: &str) -> usize {
    let is_slash = |c| matches!(c, '/' | '\\');
    let Some((_, rest)) = url.split_once(':') else { return 0 };
    let rest = rest.trim_start_matches(|c| is_slash(c) || matches!(c, '\t' | '\n' | '\r'));
    let authority = rest.split(|c| is_slash(c) || matches!(c, '?' | '#')).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().len()
}

/// Checks the length of a list and returns the elements to validate, at most [`MAX_MEDIA`].
fn check_list<'a, T>(name: &str, list: &'a [T], problems: &mut Vec<FieldProblem>) -> &'a [T] {
    if list.len() > MAX_MEDIA {
        let detail = format!("must have at most {MAX_MEDIA} elements");
        problems.push(FieldProblem::new(format!("/context/{name}"), detail));
    }
    list.get(..MAX_MEDIA).unwrap_or(list)
}

fn check_media(media: &Media, problems: &mut Vec<FieldProblem>) {
    for (index, url) in check_list("uploaded_images", &media.uploaded_images, problems).iter().enumerate() {
        check_url(|| format!("/context/uploaded_images/{index}"), url, problems);
    }
    let references = check_list("reference_images", &media.reference_images, problems);
    let mut urls = HashMap::new();
    for (index, reference) in references.iter().enumerate() {
        check_url(|| format!("/context/reference_images/{index}/url"), &reference.url, problems);
        let tag = format!("/context/reference_images/{index}/tag");
        check_id(&tag, Some(&reference.tag), problems);
        let first = urls.entry(reference.name()).or_insert(&reference.url);
        if **first != reference.url || is_given(reference.name(), media) {
            problems.push(FieldProblem::new(tag, "names another image of this request already"));
        }
    }
    if let Some(url) = &media.working_image {
        check_url(|| "/context/working_image".to_owned(), url, problems);
    }
    if let Some(url) = &media.working_video {
        check_url(|| "/context/working_video".to_owned(), url, problems);
    }
}

/// Returns whether an untagged medium of the request has this name. Uploads are `reference_1` and
/// following.
fn is_given(name: &str, media: &Media) -> bool {
    match name {
        "working_image" => media.working_image.is_some(),
        "working_video" => media.working_video.is_some(),
        _ => name
            .strip_prefix("reference_")
            .and_then(|number| number.parse().ok())
            .is_some_and(|number: usize| (1..=media.uploaded_images.len()).contains(&number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(request: FlowRequest) -> Vec<String> {
        let user = request.user_id.clone().unwrap_or_else(|| "ann".to_owned());
        match request.validate(&Caller::user(user)) {
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
    fn the_host_of_a_url_is_bounded_in_every_notation() {
        let long = "\u{4e2d}".repeat(1000);
        for url in [
            format!("https://{long}/"),
            format!("https://user:pass@{long}?q"),
            format!("https:\\\\{long}#f"),
            format!("https:{long}.example/"),
            format!("https:/\t/{long}/"),
        ] {
            let mut problems = Vec::new();
            check_url(|| "/u".to_owned(), &url, &mut problems);
            assert!(problems[0].detail.contains("host"), "{url}: {problems:?}");
        }
        let mut problems = Vec::new();
        for url in [
            format!("https://b\u{fc}cher.example/{long}?{long}#{long}")
                .chars()
                .take(1300)
                .collect::<String>(),
            format!("https://{}:{}@a.example/", "u".repeat(300), "p".repeat(300)),
        ] {
            check_url(|| "/u".to_owned(), &url, &mut problems);
        }
        assert_eq!(problems, []);
    }

    #[test]
    fn the_prompt_is_counted_in_characters() {
        assert!(pointers(FlowRequest::new("é".repeat(8000))).is_empty());
        assert_eq!(pointers(FlowRequest::new("é".repeat(8001))), ["/prompt"]);
    }

    #[test]
    fn a_null_context_is_an_empty_context() {
        let request: FlowRequest =
            serde_json::from_str(r#"{"prompt": "x", "context": null, "user_id": null}"#).unwrap();
        assert_eq!(request, FlowRequest::new("x"));
    }
}
