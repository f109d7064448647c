//! The encoder with the weights that the service ships.

use std::path::Path;
use std::sync::Arc;

use picarcade_intent::local::Encoder;
use picarcade_intent::{Classifier, Facts, Goal, Matrix, Media, Prompt, Request};

fn shipped() -> Option<Encoder> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bins/picarcade/data/encoder-1.bin");
    Some(Encoder::parse(std::fs::read(file).ok()?).unwrap())
}

#[test]
fn the_shipped_encoder_understands_plain_requests() {
    let Some(encoder) = shipped() else { return };
    let image = Facts { active_image: true, ..Facts::default() };
    for (prompt, facts, goal) in [
        ("a red fox in the snow", Facts::default(), Goal::CreateImage),
        ("remove the moving truck", image, Goal::Edit),
        ("a video of a cat chasing a butterfly", Facts::default(), Goal::CreateVideo),
        ("把天空变成紫色", image, Goal::Edit),
    ] {
        assert_eq!(encoder.goals(prompt, facts).best().0, goal, "{prompt}");
    }
}

#[test]
fn a_classifier_with_the_shipped_encoder_still_has_its_fast_stage() {
    let Some(encoder) = shipped() else { return };
    let fast = Classifier::new(Matrix::embedded());
    let both = fast.clone().with_encoder(Arc::new(encoder));
    let request = Request {
        prompt: Prompt::new("give this tired room some life").unwrap(),
        facts: Facts { active_image: true, ..Facts::default() },
        media: Media::default(),
    };
    assert_eq!(both.classify_fast(&request), fast.classify_locally(&request));
    assert_ne!(both.classify_locally(&request), fast.classify_locally(&request));
}
