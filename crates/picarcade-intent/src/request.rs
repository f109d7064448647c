//! One request: the words, the facts and the media.
//!
//! The facts say which kinds of media there are, and the media say which ones. They come from
//! different places and may disagree: an application can state `uploaded_image` and send no URL.
//! Then the facts decide the type, and the media decide only what is passed on. URLs are never
//! fetched, parsed or shown to an AI.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::prompt::Prompt;
use crate::tags;

/// A stored or found image that the prompt refers to.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReferenceImage {
    /// The URL.
    pub url: String,
    /// The name in the prompt, with or without the leading `@`.
    pub tag: String,
}

impl ReferenceImage {
    /// Returns the tag without its `@`.
    pub fn name(&self) -> &str {
        self.tag.strip_prefix('@').unwrap_or(&self.tag)
    }
}

/// The URLs of the media of a request. Missing fields deserialize as absent.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// The uploads of the user with this request, in upload order: `@reference_1` is the first.
    pub uploaded_images: Vec<String>,
    /// The stored or found images that the prompt refers to.
    pub reference_images: Vec<ReferenceImage>,
    /// The open image.
    pub working_image: Option<String>,
    /// The open video.
    pub working_video: Option<String>,
}

/// Shows only the tag: URLs of media are often signed, and a signed URL gives access to the
/// picture.
impl fmt::Debug for ReferenceImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.name())
    }
}

/// Shows which media exist, without URLs.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("uploaded_images", &self.uploaded_images.len())
            .field("reference_images", &self.reference_images)
            .field("working_image", &self.working_image.is_some())
            .field("working_video", &self.working_video.is_some())
            .finish()
    }
}

/// Everything that a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The words of the user.
    pub prompt: Prompt,
    /// The facts that the application states.
    pub facts: Facts,
    /// The media themselves.
    pub media: Media,
}

impl Request {
    /// Returns the distinct `@names` in the prompt, in order of first appearance, without the `@`.
    ///
    /// They are stored references only if the facts say
    /// [`referenced_image`](Facts::referenced_image). Otherwise they are text, for example a social
    /// handle.
    pub fn tags(&self) -> Vec<&str> {
        tags::distinct(self.prompt.as_str())
    }

    /// Returns the number of reference images: the uploads and, if the facts say
    /// [`referenced_image`](Facts::referenced_image), the named references or the found images,
    /// whichever are more.
    ///
    /// `@working_image`, `@working_video` and `@reference_1` and so on name media that are already
    /// counted.
    pub fn reference_count(&self) -> usize {
        let named = if self.facts.referenced_image {
            self.named_references().len().max(self.media.reference_images.len())
        } else {
            0
        };
        self.media.uploaded_images.len() + named
    }

    /// Returns the tags of the prompt that are stored references; none unless the facts say so.
    pub(crate) fn named_references(&self) -> Vec<&str> {
        if !self.facts.referenced_image {
            return Vec::new();
        }
        let mut names = self.tags();
        names.retain(|name| !tags::is_reserved(name));
        names
    }

    /// Returns how many uploads an enhanced prompt may number: the uploads, or one that was stated
    /// without a URL.
    pub(crate) fn upload_count(&self) -> usize {
        self.media.uploaded_images.len().max(usize::from(self.facts.uploaded_image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(prompt: &str, referenced_image: bool, uploads: usize, references: usize) -> Request {
        let reference = ReferenceImage { url: "https://example.com/r.png".into(), tag: "@r".into() };
        Request {
            prompt: Prompt::new(prompt).unwrap(),
            facts: Facts { referenced_image, uploaded_image: uploads > 0, ..Facts::default() },
            media: Media {
                uploaded_images: vec!["https://example.com/u.png".into(); uploads],
                reference_images: vec![reference; references],
                ..Media::default()
            },
        }
    }

    #[test]
    fn references_are_counted_as_documented() {
        assert_eq!(request("a fox", false, 0, 0).reference_count(), 0);
        assert_eq!(request("a fox", false, 2, 0).reference_count(), 2);
        assert_eq!(request("@a and @b and @a", true, 0, 0).reference_count(), 2);
        assert_eq!(
            request("@a and @b", false, 0, 2).reference_count(),
            0,
            "without the fact a name is just text"
        );
        assert_eq!(request("@a", true, 1, 3).reference_count(), 4, "the larger of names and found images");
        assert_eq!(request("@a with @reference_1 on @working_image", true, 1, 0).reference_count(), 2);
    }

    #[test]
    fn a_thousand_tags_are_counted() {
        let prompt = (0..1_000).map(|number| format!("@t{number}")).collect::<Vec<_>>().join(" ");
        assert_eq!(request(&prompt, true, 0, 0).reference_count(), 1_000);
    }

    #[test]
    fn debug_shows_neither_words_nor_urls() {
        let shown = format!("{:?}", request("my words about @r", true, 1, 1));
        assert!(
            shown.contains("@r") && !shown.contains("words") && !shown.contains("example.com"),
            "{shown}"
        );
    }

    #[test]
    fn absent_media_are_absent() {
        let media: Media = serde_json::from_str(r#"{"working_image": "https://example.com/w.png"}"#).unwrap();
        assert_eq!(media.working_image.as_deref(), Some("https://example.com/w.png"));
        assert!(media.uploaded_images.is_empty() && media.working_video.is_none());
    }
}
