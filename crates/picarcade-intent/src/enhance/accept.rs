//! Checks whether an enhanced prompt of an AI may be used.
//!
//! If the tag of a reference is missing, the model ignores the reference. If a tag is undefined,
//! the model invents something. Users see neither before the money is spent, so both are refused
//! here.

use std::collections::HashSet;

use crate::error::Rejection;
use crate::matrix::Strategy;
use crate::prompt;
use crate::prompt_type::PromptType;
use crate::request::Request;
use crate::{enhance::words, tags};

/// The maximum length of an enhanced prompt from an AI, in characters (Unicode scalar values).
pub const MAX_ENHANCED_CHARS: usize = 2_000;

/// How much may be added to a prompt that is detailed enough, in characters: a sentence or two
/// about what stays.
const MAX_ADDED_CHARS: usize = 400;

/// Returns the trimmed enhanced prompt of an AI if it may be used for this type.
///
/// # Errors
///
/// [`Rejection`] names the reason. The offline form of [`enhance`](super::enhance) is used instead.
pub fn accept_enhancement(
    prompt_type: PromptType,
    request: &Request,
    enhanced: &str,
) -> Result<String, Rejection> {
    accept_enhancement_with(Strategy::of(prompt_type), prompt_type, request, enhanced)
}

/// Like [`accept_enhancement`], with the strategy that a decision matrix names.
///
/// # Errors
///
/// Fails like [`accept_enhancement`].
pub fn accept_enhancement_with(
    strategy: Strategy,
    prompt_type: PromptType,
    request: &Request,
    enhanced: &str,
) -> Result<String, Rejection> {
    if strategy == Strategy::None {
        return Err(Rejection::Unwanted);
    }
    let enhanced = enhanced.trim();
    if enhanced.chars().all(prompt::is_unseen) {
        return Err(Rejection::Empty);
    }
    let characters = enhanced.chars().count();
    if characters > MAX_ENHANCED_CHARS {
        return Err(Rejection::TooLong { characters });
    }
    let given = prompt::collapse(request.prompt.as_str());
    if words::is_detailed(&given) {
        let keeps_words = prompt::collapse(enhanced).contains(given.trim_end_matches('.'));
        if !keeps_words || characters > given.chars().count() + MAX_ADDED_CHARS {
            return Err(Rejection::Rewritten);
        }
    }
    let present: HashSet<&str> = tags::all(enhanced).collect();
    if let Some(dropped) =
        required(strategy, prompt_type, request).into_iter().find(|tag| !present.contains(&**tag))
    {
        return Err(Rejection::DroppedTag(dropped));
    }
    let given: HashSet<&str> = tags::all(request.prompt.as_str())
        .chain(request.media.reference_images.iter().map(crate::ReferenceImage::name))
        .collect();
    let is_invented = |tag: &&str| !given.contains(tag) && !is_known(tag, prompt_type, request);
    if let Some(invented) = present.into_iter().filter(is_invented).min() {
        return Err(Rejection::InventedTag(invented.chars().take(40).collect()));
    }
    Ok(enhanced.to_owned())
}

/// Returns the required tags: the tags of the user always, and those of target and uploads if the
/// strategy uses them.
fn required(strategy: Strategy, prompt_type: PromptType, request: &Request) -> Vec<String> {
    let mut required: Vec<String> = request.named_references().into_iter().map(ToOwned::to_owned).collect();
    if strategy == Strategy::RewriteTags && prompt_type.uses_working_image() {
        required.push(tags::WORKING_IMAGE.to_owned());
    }
    if matches!(strategy, Strategy::RewriteTags | Strategy::VideoChange) && prompt_type.uses_references() {
        required.extend((1..=request.upload_count()).map(tags::reference));
    }
    required
}

/// Whether a tag that the user did not give names a medium of the request.
fn is_known(tag: &str, prompt_type: PromptType, request: &Request) -> bool {
    let is_target = match tag {
        tags::WORKING_IMAGE => prompt_type.uses_working_image(),
        tags::WORKING_VIDEO => prompt_type.uses_working_video(),
        _ => false,
    };
    is_target
        || tags::reference_number(tag).is_some_and(|number| (1..=request.upload_count()).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use crate::prompt::Prompt;
    use crate::request::Media;

    fn request(prompt: &str) -> Request {
        Request {
            prompt: Prompt::new(prompt).unwrap(),
            facts: Facts {
                active_image: true,
                uploaded_image: true,
                referenced_image: true,
                ..Facts::default()
            },
            media: Media { uploaded_images: vec!["https://e.com/1".into(); 2], ..Media::default() },
        }
    }

    fn accept(enhanced: &str) -> Result<String, Rejection> {
        accept_enhancement(PromptType::EditImageRef, &request("give her @hat"), enhanced)
    }

    #[test]
    fn an_acceptable_enhanced_prompt_is_unchanged() {
        let good =
            "Put @hat on the woman in @working_image, with the colours of @reference_1 and @reference_2.";
        assert_eq!(accept(&format!(" {good}\n")), Ok(good.to_owned()));
    }

    #[test]
    fn empty_and_too_long_enhanced_prompts_are_rejected() {
        for empty in ["", " \n", "\u{200b}"] {
            assert_eq!(accept(empty), Err(Rejection::Empty));
        }
        let request = request("give her a hat");
        let longest = "é".repeat(MAX_ENHANCED_CHARS);
        assert!(accept_enhancement(PromptType::EditImage, &request, &longest).is_ok());
        let longer = longest + "é";
        let refused = accept_enhancement(PromptType::EditImage, &request, &longer);
        assert_eq!(refused, Err(Rejection::TooLong { characters: 2_001 }));
    }

    #[test]
    fn tags_are_neither_dropped_nor_invented() {
        let dropped = |tag: &str| Err(Rejection::DroppedTag(tag.to_owned()));
        assert_eq!(accept("Put it on @working_image with @reference_1 and @reference_2."), dropped("hat"));
        assert_eq!(accept("Put @hat on her with @reference_1 and @reference_2."), dropped("working_image"));
        assert_eq!(accept("Put @hat on @working_image with @reference_1."), dropped("reference_2"));
        let invented = accept("Put @hat on @working_image with @reference_1, @reference_2 and @reference_3.");
        assert_eq!(invented, Err(Rejection::InventedTag("reference_3".to_owned())));
        let renamed = accept_enhancement(PromptType::NewVideo, &request("@hat"), "@hat in @working_image");
        assert_eq!(renamed, Err(Rejection::InventedTag("working_image".to_owned())));
    }

    #[test]
    fn without_the_fact_a_tag_is_text() {
        let mut request = request("a poster for @nasa");
        request.facts.referenced_image = false;
        assert!(accept_enhancement(PromptType::NewVideo, &request, "A poster.").is_ok());
        assert!(accept_enhancement(PromptType::NewVideo, &request, "A poster for @nasa.").is_ok());
    }

    #[test]
    fn detailed_prompts_keep_their_words_and_plain_pictures_all_of_them() {
        let long =
            "a fox  jumping over a fence in a snowy garden at dusk while the lamps in the house go on.";
        let request = request(long);
        let refused = accept_enhancement(PromptType::EditImage, &request, "A fox jumps.");
        assert_eq!(refused, Err(Rejection::Rewritten));
        let kept = format!("{}, and the rest stays.", prompt::collapse(long).trim_end_matches('.'));
        assert_eq!(accept_enhancement(PromptType::EditImage, &request, &kept), Ok(kept.clone()));
        let padded = kept.clone() + &" And more.".repeat(50);
        assert_eq!(accept_enhancement(PromptType::EditImage, &request, &padded), Err(Rejection::Rewritten));
        assert_eq!(accept_enhancement(PromptType::NewImage, &request, &kept), Err(Rejection::Unwanted));
    }
}
