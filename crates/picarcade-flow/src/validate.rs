//! The validation of URLs and media.
//!
//! Validation names up to [`MAX_PROBLEMS`](crate::MAX_PROBLEMS) wrong fields at once, by JSON
//! pointer, so that a caller can correct them together. A request that is invalid has consumed
//! nothing and used no backend.
//!
//! The time to validate a request is linear in its size: lists are bounded before they are
//! validated, and so is every value that a parser handles in more than linear time.

use std::collections::HashMap;

use picarcade_intent::Media;
use url::Url;

use crate::error::FieldProblem;
use crate::id::check_id;

/// The longest comment in feedback, in characters (Unicode scalar values).
pub(crate) const MAX_COMMENT_CHARS: usize = 1000;

/// The most uploads, and the most references, of one request.
pub const MAX_MEDIA: usize = 64;

/// The longest URL of a medium, in bytes.
pub(crate) const MAX_URL_BYTES: usize = 4096;

/// The longest host of a URL, in bytes. A name of the DNS is no longer, and the encoding of
/// international names takes time that grows with the square of their length.
const MAX_HOST_BYTES: usize = 255;

/// Checks that a URL is an http or https URL of bounded length.
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

/// Checks the media of a request.
pub(crate) fn check_media(media: &Media, problems: &mut Vec<FieldProblem>) {
    for (index, url) in check_list("uploaded_images", &media.uploaded_images, problems).iter().enumerate() {
        check_url(|| format!("/context/uploaded_images/{index}"), url, problems);
    }
    let references = check_list("reference_images", &media.reference_images, problems);
    let mut urls = HashMap::new();
    for (index, reference) in references.iter().enumerate() {
        check_url(|| format!("/context/reference_images/{index}/url"), &reference.url, problems);
        let tag = format!("/context/reference_images/{index}/tag");
        problems.extend(check_id(&reference.tag).err().map(|error| error.at(tag.clone())));
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
}
