//! The names of the media in an enhanced prompt.
//!
//! The working image is the target and is named `@working_image`. Uploads are named `@reference_1`
//! upwards in upload order. Stored references keep the names that the user gave them.

use std::collections::HashSet;

use crate::prompt_type::PromptType;
use crate::request::Request;
use crate::tags;

/// The maximum number of sources that a sentence names.
const NAMED: usize = 12;

/// The reference images of a request, by tag.
pub(super) struct Sources<'a> {
    uploads: usize,
    names: Vec<&'a str>,
    /// Whether any source takes part.
    pub(super) take_part: bool,
}

impl<'a> Sources<'a> {
    /// Returns the sources that take part in a type.
    pub(super) fn of(prompt_type: PromptType, request: &'a Request) -> Self {
        let mut names = request.named_references();
        if request.facts.referenced_image {
            let mut seen: HashSet<&str> = names.iter().copied().collect();
            for found in request.media.reference_images.iter().map(crate::ReferenceImage::name) {
                // Found images have labels that need not be tags; such a label cannot be named.
                if is_tag(found) && seen.insert(found) {
                    names.push(found);
                }
            }
        }
        Self { uploads: request.upload_count(), names, take_part: prompt_type.uses_references() }
    }

    /// Returns the sources as a list in a sentence: `@reference_1, @reference_2 and @hat`.
    pub(super) fn list(&self) -> String {
        let count = self.uploads + self.names.len();
        let uploads = (1..=self.uploads).map(|number| format!("@{}", tags::reference(number)));
        let named = self.names.iter().map(|name| format!("@{name}"));
        let mut shown: Vec<String> = uploads.chain(named).take(NAMED).collect();
        if count > NAMED {
            shown.push(format!("{} more references", count - NAMED));
        }
        match (shown.pop(), shown.is_empty()) {
            (None, _) => "the reference images".to_owned(),
            (Some(last), true) => last,
            (Some(last), false) => format!("{} and {last}", shown.join(", ")),
        }
    }
}

/// Returns whether a text can be written as a tag.
fn is_tag(name: &str) -> bool {
    let tag = format!("@{name}");
    let mut tags = tags::all(&tag);
    tags.next() == Some(name) && !tags::is_reserved(name)
}
