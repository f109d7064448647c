//! The offline forms for pictures.
//!
//! In each form the words of the user override the sentence about what stays: "keep the background"
//! would contradict a user who asks for another background.

use super::Frame;
use crate::prompt_type::PromptType;

/// A change to the working image.
pub(super) fn clarify(frame: &Frame<'_>) -> String {
    const KEEP: &str = "Keep everything else in the image exactly as it is: faces, composition, style and lighting stay unless \
                        the change is about them.";
    frame.keeping(KEEP)
}

/// A picture made from references.
pub(super) fn clarify_keep_identity(frame: &Frame<'_>) -> String {
    frame.keeping(&format!(
        "Keep the identity of everyone shown in {}: the same face, the same features, the same build.",
        frame.sources.list()
    ))
}

/// A change to the working image that uses parts of references.
pub(super) fn rewrite_tags(frame: &Frame<'_>) -> String {
    // A custom matrix may choose this strategy without a working image: then there is no target to
    // name.
    if !frame.prompt_type.uses_working_image() {
        return clarify_keep_identity(frame);
    }
    let (sources, adds) = (frame.sources.list(), frame.prompt_type == PromptType::EditImageAddNew);
    let (opening, take, keep) = if adds {
        (
            "Add to @working_image:",
            format!(
                "Take what is added from {sources} and fit it to the scale, perspective and lighting of @working_image."
            ),
            "Keep everything that is already in @working_image exactly as it is.",
        )
    } else {
        (
            "Edit @working_image:",
            format!("Take only what is asked for from {sources}."),
            "Keep everything else in @working_image exactly as it is: faces, pose and background stay unless the change is \
             about them.",
        )
    };
    let preservation = format!("{take} {keep}");
    frame.detailed(&preservation).unwrap_or_else(|| format!("{opening} {} {preservation}", frame.sentence()))
}
