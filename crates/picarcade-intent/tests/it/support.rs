//! Fixtures for requests.

use picarcade_intent::{Facts, Media, Prompt, ReferenceImage, Request};

/// Returns facts by the letters of their names: `i`mage, `v`ideo, `u`pload, `r`eference.
pub fn facts(letters: &str) -> Facts {
    Facts {
        active_image: letters.contains('i'),
        active_video: letters.contains('v'),
        uploaded_image: letters.contains('u'),
        referenced_image: letters.contains('r'),
    }
}

/// Returns a request with media that agree with the facts: two uploads, and one stored reference
/// per tag of the prompt.
pub fn request(prompt: &str, letters: &str) -> Request {
    let facts = facts(letters);
    let mut request = Request { prompt: Prompt::new(prompt).unwrap(), facts, media: Media::default() };
    let url = |name: &str| format!("https://cdn.example.com/{name}.png");
    let tags = request.tags().into_iter().map(|tag| ReferenceImage { url: url(tag), tag: format!("@{tag}") });
    let reference_images = if facts.referenced_image { tags.collect() } else { Vec::new() };
    request.media = Media {
        uploaded_images: if facts.uploaded_image { vec![url("first"), url("second")] } else { Vec::new() },
        reference_images,
        working_image: facts.active_image.then(|| url("working")),
        working_video: facts.active_video.then(|| "https://cdn.example.com/working.mp4".to_owned()),
    };
    request
}

#[cfg(feature = "providers")]
pub use with_providers::*;

#[cfg(feature = "providers")]
mod with_providers {
    use std::time::Duration;

    use picarcade_intent::{Answer, Anthropic, Matrix, OpenAi, Provider, ProviderError, Replicate, Request};
    use picarcade_testkit::MockProvider;
    use secrecy::SecretString;
    use serde_json::Value;

    /// A key that no output may contain.
    pub const KEY: &str = "sk-very-secret-key";

    /// Longer than any test takes.
    pub const LONG: Duration = Duration::from_secs(30);

    pub fn key() -> SecretString {
        SecretString::from(KEY)
    }

    /// Returns one provider of each kind and of each answer format, all connected to the mock.
    pub fn providers(mock: &MockProvider) -> Vec<Box<dyn Provider>> {
        vec![
            Box::new(Anthropic::builder(key()).base_url(mock.url()).build().unwrap()),
            Box::new(
                Anthropic::builder(key()).base_url(mock.url()).model("claude-haiku-4-5").build().unwrap(),
            ),
            Box::new(OpenAi::builder(key()).base_url(mock.url()).build().unwrap()),
            Box::new(Replicate::builder(key()).base_url(mock.url()).build().unwrap()),
        ]
    }

    pub async fn ask(provider: &dyn Provider, request: &Request) -> Result<Answer, ProviderError> {
        let feasible = Matrix::embedded().feasible(request.facts);
        provider.classify(request, feasible, LONG).await
    }

    /// Returns the last body that the mock received, with the long instructions shortened.
    pub fn last_body(mock: &MockProvider) -> Value {
        let mut body = mock.requests().pop().unwrap().body;
        for pointer in ["/system/0/text", "/messages/0/content", "/input/system_prompt"] {
            if let Some(text) = body.pointer_mut(pointer)
                && text == include_str!("../../data/instructions.md")
            {
                *text = "[instructions]".into();
            }
        }
        body
    }
}
