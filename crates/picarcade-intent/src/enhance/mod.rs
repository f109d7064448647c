//! Better prompts: written here without an AI, or by an AI and checked here.
//!
//! Image and video models follow a prompt that names its target, its sources and what must stay better than one that does
//! not. Each [`Strategy`] has an offline form: a sentence frame around the user's own words, which are never rephrased, so
//! that it works in every language. The frame is English whatever the language of the words: image and video models are
//! trained on English captions above all, and a sentence about what must stay has to be understood. A prompt of more than fifteen words is detailed enough, and only gets the sentence
//! about what must stay. What an AI writes is used only if it keeps the tags; the offline form takes its place otherwise.

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

/// The enhanced prompt for a type, without an AI, by the strategy that fits the type.
///
/// `audio` says whether sound is wanted where the type leaves that open. Never fails: the least it gives is the prompt.
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

/// The same by the strategy that a decision matrix names.
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

/// What every strategy works on.
struct Frame<'a> {
    prompt_type: PromptType,
    request: &'a Request,
    sources: Sources<'a>,
    audio: bool,
}

impl Frame<'_> {
    /// The prompt with what must stay behind it, when it is detailed enough as it is.
    fn detailed(&self, preservation: &str) -> Option<String> {
        let prompt = self.request.prompt.normalized();
        words::is_detailed(&prompt).then(|| format!("{} {preservation}", words::as_sentence(&prompt)))
    }

    /// The prompt as a tidy sentence, in the user's own words: the light edit for clarity.
    fn sentence(&self) -> String {
        words::as_sentence(&self.request.prompt.normalized())
    }
}
