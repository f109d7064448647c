//! A request as its caller states it, and what makes it valid.
//!
//! Validation names up to [`MAX_PROBLEMS`] wrong fields at once, by JSON pointer, so that a caller can
//! correct them in one round. A request that fails here has consumed nothing and touched no backend.
//!
//! The cost of a request is linear in its size, whatever it contains: lists are bounded before they
//! are validated, and so is everything that a parser handles in more than linear time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use picarcade_intent::{Facts, Media, Prompt, ReferenceImage};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::error::{FieldProblem, FlowError, MAX_PROBLEMS};
use crate::trace::Trace;

/// The longest `user_id` or `session_id`, in bytes: what the limits can count under.
pub const MAX_ID_BYTES: usize = picarcade_ratelimit::MAX_SUBJECT_BYTES;

/// The most uploads, and the most references, of one request.
pub const MAX_MEDIA: usize = 64;

/// The longest URL of a medium, in bytes.
const MAX_URL_BYTES: usize = 4096;

/// The longest host of a URL, in bytes. A name of the DNS is no longer, and the encoding of
/// international names takes time that grows with the square of their length.
const MAX_HOST_BYTES: usize = 255;

/// One request, in the shape of the HTTP body. Unknown fields are ignored. Of a list of media that is
/// longer than [`MAX_MEDIA`], only so much is kept that validation can refuse it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FlowRequest {
    /// What the user wrote: 1 to 8,000 characters.
    pub prompt: String,
    /// A working image is open.
    pub active_image: bool,
    /// A working video is open.
    pub active_video: bool,
    /// The user uploaded one or more images with this request.
    pub uploaded_image: bool,
    /// The prompt names stored references (`@name`) or found images.
    pub referenced_image: bool,
    /// The end user, where the body names one. Identity is the caller's to decide: the flow itself reads [`Caller`].
    pub user_id: Option<String>,
    /// The session whose working medium may fill in for missing facts.
    pub session_id: Option<String>,
    /// The media themselves; the URLs are passed on and never fetched.
    #[serde(deserialize_with = "bounded_media")]
    pub context: Media,
    /// Whether to reserve the estimated cost of the generation against the dollar limits.
    pub reserve: bool,
}

impl FlowRequest {
    /// A request with a prompt and nothing else.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// The four facts of the request.
    pub const fn facts(&self) -> Facts {
        Facts {
            active_image: self.active_image,
            active_video: self.active_video,
            uploaded_image: self.uploaded_image,
            referenced_image: self.referenced_image,
        }
    }

    /// Checks every field and gives the parts that the flow works with.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] with one entry for each wrong field.
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
            // Somebody else may have been named by other means: what is wrong is wrong all the same.
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

/// A request whose fields have all been checked.
#[derive(Clone, Debug)]
pub(crate) struct Valid {
    pub(crate) prompt: Prompt,
    pub(crate) facts: Facts,
    pub(crate) media: Media,
    pub(crate) session_id: Option<String>,
    pub(crate) reserve: bool,
}

/// What a caller may change for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// An end user: spends within its own limits. Its reports on generations move no money and no
    /// breaker.
    #[default]
    EndUser,
    /// The operator of the service, such as the holder of an API key: its reports on generations
    /// settle dollars and count for the breaker of the model's provider.
    Operator,
}

/// Who asks, as the surrounding program has established it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The end user: limits, the intent cache and every table are keyed by it.
    pub user: Arc<str>,
    /// The name (never the secret) of the API key that was presented.
    pub api_key: Option<Arc<str>>,
    /// What the caller may change for others.
    pub authority: Authority,
    /// The endpoint that is asked, for the limits of scope ENDPOINT.
    pub endpoint: Cow<'static, str>,
    /// The trace that the request belongs to, where there is one.
    pub trace: Option<Arc<dyn Trace>>,
}

impl Caller {
    /// An end user without an API key and without authority, at the endpoint `process`.
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
    /// Grant it only to a caller that the operator trusts with the dollars and the breakers of
    /// every user.
    #[must_use]
    pub fn operator(mut self) -> Self {
        self.authority = Authority::Operator;
        self
    }

    /// Whether the user can be counted under.
    pub(crate) fn check(&self) -> Result<(), FlowError> {
        let mut problems = Vec::new();
        check_id("/user_id", Some(&self.user), &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(FlowError::Invalid(problems)) }
    }

    /// The same caller at another endpoint.
    #[must_use]
    pub fn at(mut self, endpoint: impl Into<Cow<'static, str>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// The same caller, with what is done for the request told to this trace.
    #[must_use]
    pub fn traced(mut self, trace: Option<Arc<dyn Trace>>) -> Self {
        self.trace = trace;
        self
    }
}

/// What a caller asks of the caches: RFC 9111's `no-cache` and `no-store`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheControl {
    /// Read and write.
    #[default]
    Use,
    /// Skip reads, keep what is found (`no-cache`).
    NoCache,
    /// Skip reads and writes (`no-store`).
    NoStore,
}

/// Reads the media, or none for `null`, and keeps at most one element too many of each list.
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

/// A list whose elements beyond the first [`MAX_MEDIA`] + 1 are skipped: a body of small elements
/// would otherwise take many times its size.
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

/// Returns the length of the host of a URL, its port included, as the WHATWG parser delimits it:
/// behind the scheme and any slashes, up to the next slash, and without user information.
fn host_bytes(url: &str) -> usize {
    let is_slash = |c| matches!(c, '/' | '\\');
    let Some((_, rest)) = url.split_once(':') else { return 0 };
    let rest = rest.trim_start_matches(|c| is_slash(c) || matches!(c, '\t' | '\n' | '\r'));
    let authority = rest.split(|c| is_slash(c) || matches!(c, '?' | '#')).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().len()
}

/// Checks a list's length and returns the elements that are worth a check of their own.
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

/// Whether a medium without a name of its own goes by this one: uploads are `reference_1` upwards.
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
    fn every_wrong_field_is_named_at_once() {
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
    fn no_two_images_go_by_one_name() {
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
    fn a_list_that_is_too_long_is_one_problem_and_kept_only_in_part() {
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
    fn a_list_that_a_program_makes_too_long_is_refused_too() {
        let mut request = FlowRequest::new("x");
        request.context.uploaded_images = vec!["no URL".to_owned(); 100_000];
        let pointers = pointers(request);
        assert_eq!((pointers.len(), pointers[0].as_str()), (MAX_PROBLEMS, "/context/uploaded_images"));
    }

    #[test]
    fn the_host_of_a_url_is_bounded_however_it_is_written() {
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
    fn a_null_context_is_no_context() {
        let request: FlowRequest =
            serde_json::from_str(r#"{"prompt": "x", "context": null, "user_id": null}"#).unwrap();
        assert_eq!(request, FlowRequest::new("x"));
    }
}
