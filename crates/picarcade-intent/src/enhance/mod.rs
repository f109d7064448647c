//! Enhanced prompts: written offline, or written by an AI and checked.
//!
//! Image and video models follow a prompt better if it names its target, its sources and what must
//! stay. Each [`Strategy`] has an offline form: a sentence frame around the words of the user. The
//! words are never rephrased, so the form works in every language. The frame is always English,
//! because image and video models are trained mostly on English captions. A prompt of more than
//! fifteen words is detailed enough and gets only the sentence about what must stay. The text of an
//! AI is used only if it keeps the tags; otherwise the offline form is used.

mod accept;
mod image;
mod sources;
mod speech;
mod video;
mod words;

pub use accept::{MAX_ENHANCED_CHARS, accept_enhancement, accept_enhancement_with};

use self::sources::Sources;
use crate::matrix::Strategy;
use crate::prompt_type::PromptType;
use crate::request::Request;

/// Returns the enhanced prompt for a type without an AI, by the default strategy of the type.
///
/// `audio` says whether sound is wanted if the type leaves that open. The function cannot fail: its
/// minimal result is the prompt.
///
/// ```
/// use picarcade_intent::{Facts, Media, Prompt, PromptType, Request, enhance};
///
/// let request = Request {
///     prompt: Prompt::new("make the sky purple")?,
///     facts: Facts { active_image: true, ..Facts::default() },
///     media: Media::default(),
/// };
/// let better = enhance(PromptType::EditImage, &request, false);
/// assert!(better.starts_with("make the sky purple. Keep "));
/// # Ok::<(), picarcade_intent::PromptError>(())
/// ```
pub fn enhance(prompt_type: PromptType, request: &Request, audio: bool) -> String {
    enhance_with(Strategy::of(prompt_type), prompt_type, request, audio)
}

/// Like [`enhance`], with the strategy that a decision matrix names.
pub fn enhance_with(strategy: Strategy, prompt_type: PromptType, request: &Request, audio: bool) -> String {
    let audio =
        audio || matches!(prompt_type, PromptType::NewVideoWithAudio | PromptType::ImageToVideoWithAudio);
    let frame = Frame { prompt_type, request, sources: Sources::of(prompt_type, request), audio };
    match strategy {
        Strategy::None => request.prompt.as_str().to_owned(),
        Strategy::Clarify => image::clarify(&frame),
        Strategy::ClarifyKeepIdentity => image::clarify_keep_identity(&frame),
        Strategy::RewriteTags => image::rewrite_tags(&frame),
        Strategy::Scene => video::scene(&frame),
        Strategy::Motion => video::motion(&frame),
        Strategy::UpdateThenMotion => video::update_then_motion(&frame),
        Strategy::VideoChange => video::change(&frame),
    }
}

/// The input of every strategy.
struct Frame<'a> {
    prompt_type: PromptType,
    request: &'a Request,
    sources: Sources<'a>,
    audio: bool,
}

impl Frame<'_> {
    /// The prompt with the sentence about what must stay, if the prompt is detailed enough.
    fn detailed(&self, preservation: &str) -> Option<String> {
        words::is_detailed(&self.request.prompt.normalized()).then(|| self.keeping(preservation))
    }

    /// The prompt with the sentence about what must stay.
    fn keeping(&self, preservation: &str) -> String {
        format!("{} {preservation}", self.sentence())
    }

    /// The prompt as a complete sentence in the words of the user: the light edit for clarity.
    fn sentence(&self) -> String {
        words::as_sentence(&self.request.prompt.normalized())
    }
}
