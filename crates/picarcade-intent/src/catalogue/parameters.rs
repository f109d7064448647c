//! The parameters for a model.
//!
//! Base parameters depend only on the model and the type, so they can be cached and shared. The
//! prompt and the media belong to one user and are added per request. A request cannot change a
//! base parameter. Media are added only for types that use them: a new picture must not be painted
//! over the image that happens to be open.

use serde_json::{Map, Value, json};

use super::Catalogue;
use crate::prompt_type::PromptType;
use crate::request::Request;
use crate::tags;

impl Catalogue {
    /// Returns the base parameters of a model for a type; empty for an unknown model.
    pub fn base_parameters(&self, model: &str, prompt_type: PromptType) -> Map<String, Value> {
        let makes_it = |model: &&super::Model| model.offer(prompt_type).is_some();
        self.model(model).filter(makes_it).map(|model| model.parameters.clone()).unwrap_or_default()
    }

    /// Returns the base parameters with the prompt and the media of a request.
    ///
    /// The list of references names the working image `working_image`, uploads `reference_1` and so
    /// on in upload order, and stored references as in the prompt. For an unknown model, only the
    /// prompt is returned.
    pub fn complete_parameters(
        &self,
        mut base: Map<String, Value>,
        prompt_type: PromptType,
        request: &Request,
        enhanced_prompt: &str,
        model: &str,
    ) -> Map<String, Value> {
        let Some(model) = self.model(model) else {
            base.insert("prompt".to_owned(), enhanced_prompt.into());
            return base;
        };
        let inputs = &model.inputs;
        base.insert(inputs.prompt.clone(), enhanced_prompt.into());
        let images = images(prompt_type, request);
        if let (Some(field), Some((url, _))) = (&inputs.image, images.first()) {
            base.insert(field.clone(), (*url).into());
        }
        if let (Some(field), Some(url), true) =
            (&inputs.video, &request.media.working_video, prompt_type.uses_working_video())
        {
            base.insert(field.clone(), url.as_str().into());
        }
        // A working image with a field of its own is not listed again, unless references are listed
        // with it.
        let listed = prompt_type.uses_references() || inputs.image.is_none();
        if let (Some(field), false, true) = (&inputs.references, images.is_empty(), listed) {
            let references = images.iter().map(|(url, tag)| json!({"url": url, "tag": tag})).collect();
            base.insert(field.clone(), Value::Array(references));
        }
        base
    }
}

/// Returns the images of a type by URL and tag: the working image, then the uploads, then the
/// stored references.
fn images(prompt_type: PromptType, request: &Request) -> Vec<(&str, String)> {
    let media = &request.media;
    let mut images = Vec::new();
    if let (Some(url), true) = (&media.working_image, prompt_type.uses_working_image()) {
        images.push((url.as_str(), tags::WORKING_IMAGE.to_owned()));
    }
    if prompt_type.uses_references() {
        let uploads = media.uploaded_images.iter().enumerate();
        images.extend(uploads.map(|(index, url)| (url.as_str(), tags::reference(index + 1))));
        let stored = media.reference_images.iter();
        images.extend(stored.map(|reference| (reference.url.as_str(), reference.name().to_owned())));
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use crate::prompt::Prompt;
    use crate::request::{Media, ReferenceImage};

    fn request() -> Request {
        Request {
            prompt: Prompt::new("put @hat on").unwrap(),
            facts: Facts {
                active_image: true,
                uploaded_image: true,
                referenced_image: true,
                ..Facts::default()
            },
            media: Media {
                uploaded_images: vec!["https://e.com/u1".into(), "https://e.com/u2".into()],
                reference_images: vec![ReferenceImage {
                    url: "https://e.com/hat".into(),
                    tag: "@hat".into(),
                }],
                working_image: Some("https://e.com/w".into()),
                working_video: Some("https://e.com/v".into()),
            },
        }
    }

    fn complete(model: &str, prompt_type: PromptType) -> Map<String, Value> {
        let catalogue = Catalogue::embedded();
        let base = catalogue.base_parameters(model, prompt_type);
        catalogue.complete_parameters(base, prompt_type, &request(), "better", model)
    }

    #[test]
    fn a_new_picture_does_not_use_the_working_image() {
        let sent = complete("black-forest-labs/flux-kontext-max", PromptType::NewImage);
        assert_eq!(
            Value::from(sent),
            json!({
                "guidance": 3.5, "num_inference_steps": 28, "safety_tolerance": 2, "prompt": "better"
            })
        );
    }

    #[test]
    fn the_working_image_is_the_target_and_references_keep_their_order() {
        let sent = complete("runway_gen4_image", PromptType::EditImageRef);
        assert_eq!(
            Value::from(sent),
            json!({
                "aspect_ratio": "4:3",
                "prompt": "better",
                "reference_images": [
                    {"url": "https://e.com/w", "tag": "working_image"},
                    {"url": "https://e.com/u1", "tag": "reference_1"},
                    {"url": "https://e.com/u2", "tag": "reference_2"},
                    {"url": "https://e.com/hat", "tag": "hat"},
                ],
            })
        );
    }

    #[test]
    fn videos_start_from_the_image_or_edit_the_video() {
        let sent = complete("google/veo-3-fast", PromptType::ImageToVideoWithAudio);
        assert_eq!(sent["image"], "https://e.com/w");
        let sent = complete("google/veo-3-fast", PromptType::NewVideoWithAudio);
        assert_eq!(
            Value::from(sent),
            json!({"duration": 8, "fps": 24, "generate_audio": true, "prompt": "better"})
        );
        let sent = complete("runwayml/gen4-aleph", PromptType::VideoEditRef);
        assert_eq!(sent["video"], "https://e.com/v");
        assert_eq!(sent["reference_images"].as_array().unwrap().len(), 3);
        assert!(!complete("runwayml/gen4-aleph", PromptType::VideoEdit).contains_key("reference_images"));
    }

    #[test]
    fn a_video_made_of_several_images_loses_none() {
        for model in ["runwayml/gen4-turbo", "minimax/hailuo-02", "google/veo-3-fast"] {
            let sent = complete(model, PromptType::EditImageRefToVideo);
            let tags: Vec<_> =
                sent["reference_images"].as_array().unwrap().iter().map(|image| &image["tag"]).collect();
            assert_eq!(tags, ["working_image", "reference_1", "reference_2", "hat"], "{model}");
        }
        let sent = complete("runwayml/gen4-turbo", PromptType::ImageToVideo);
        assert_eq!(Value::from(sent), json!({"duration": 5, "image": "https://e.com/w", "prompt": "better"}));
    }

    #[test]
    fn an_unknown_model_gets_the_prompt_alone() {
        assert!(Catalogue::embedded().base_parameters("gone", PromptType::NewImage).is_empty());
        assert_eq!(Value::from(complete("gone", PromptType::EditImage)), json!({"prompt": "better"}));
    }
}
