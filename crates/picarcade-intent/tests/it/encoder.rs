//! The encoder with the weights that the service ships.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use picarcade_intent::evaluation::{evaluate, read_labeled};
use picarcade_intent::local::Encoder;
use picarcade_intent::{Classifier, Facts, Goal, Matrix, Media, Prompt, PromptType, Request};

pub static SHIPPED: LazyLock<Arc<Encoder>> = LazyLock::new(|| {
    let file = in_repository("bins/picarcade/data/encoder-1.bin");
    Arc::new(Encoder::parse(std::fs::read(file).unwrap()).unwrap())
});

pub const NOTHING: Facts =
    Facts { active_image: false, active_video: false, uploaded_image: false, referenced_image: false };
pub const IMAGE: Facts = Facts { active_image: true, ..NOTHING };

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub fn both_stages() -> Classifier {
    Classifier::new(Matrix::embedded()).with_encoder(Arc::clone(&SHIPPED))
}

pub fn request(prompt: &str, facts: Facts) -> Request {
    Request { prompt: Prompt::new(prompt).unwrap(), facts, media: Media::default() }
}

#[test]
fn the_shipped_encoder_understands_plain_requests() {
    for (prompt, facts, goal) in [
        ("a red fox in the snow", NOTHING, Goal::CreateImage),
        ("remove the moving truck", IMAGE, Goal::Edit),
        ("a video of a cat chasing a butterfly", NOTHING, Goal::CreateVideo),
        ("把天空变成紫色", IMAGE, Goal::Edit),
    ] {
        assert_eq!(SHIPPED.goals(prompt, facts).best().0, goal, "{prompt}");
    }
}

#[test]
fn one_clear_request_outweighs_a_long_description() {
    let scene = "A lighthouse on a cliff at dusk, wet stones, gulls over the water, a warm lamp in the \
                 window, long grass bent by the wind, a narrow path with a wooden fence, muted colors. "
        .repeat(4);
    let classifier = both_stages();
    for (prompt, wanted) in [
        (scene.clone(), PromptType::NewImage),
        (format!("Create a video of this scene. {scene}"), PromptType::NewVideo),
        (format!("{scene}\nAudio: waves, and a bell in the distance."), PromptType::NewVideoWithAudio),
    ] {
        assert_eq!(classifier.classify_locally(&request(&prompt, NOTHING)).prompt_type, wanted, "{prompt}");
    }
}

#[test]
fn a_brief_without_sound_is_a_silent_video() {
    let classifier = both_stages();
    let brief = |audio: &str| {
        let words = format!(
            r#"{{"scene": "a kitchen at dawn", "camera_movement": "slow push-in", "duration": "5s", "audio": {audio}}}"#
        );
        classifier.classify_locally(&request(&words, NOTHING)).prompt_type
    };
    assert_eq!(brief("false"), PromptType::NewVideo);
    assert_eq!(brief("\"none\""), PromptType::NewVideo);
    assert_eq!(brief("\"a kettle whistles, soft radio music\""), PromptType::NewVideoWithAudio);
    let lines = |audio: &str| {
        let words = format!(
            "Scene: a kitchen at dawn\nCamera: slow push-in\nDuration: 5 s\nAudio: {audio}\nStyle: calm"
        );
        classifier.classify_locally(&request(&words, NOTHING)).prompt_type
    };
    assert_eq!(lines("none"), PromptType::NewVideo);
    assert_eq!(lines("a kettle whistles, soft radio music"), PromptType::NewVideoWithAudio);
}

#[test]
fn words_that_ask_for_no_picture_are_unclear_and_cost_the_least() {
    let classifier = both_stages();
    let verdict = classifier.classify_locally(&request("What is the capital of France?", IMAGE));
    assert!(verdict.unclear);
    assert_eq!(verdict.prompt_type, PromptType::EditImage);
    assert!(verdict.reasoning.contains("no picture"));
    assert!(!classifier.classify_locally(&request("make the sky purple", IMAGE)).unclear);
}

#[test]
fn the_shipped_weights_reach_the_required_accuracy_on_prompts_of_the_project() {
    let labeled = read_labeled(&in_repository("crates/picarcade-intent/corpus/judge-test.csv")).unwrap();
    let evaluation = evaluate(&both_stages(), &labeled);
    assert!(evaluation.accuracy(|_| true).share() >= 0.95);
    assert!(evaluation.calibration_error() <= 0.05);
}

#[test]
fn the_fast_stage_of_a_classifier_with_an_encoder_is_that_without() {
    let (both, fast) = (both_stages(), Classifier::new(Matrix::embedded()));
    let request = request("give this tired room some life", IMAGE);
    assert_eq!(both.read_fast(&request), fast.read(&request));
    assert_ne!(both.read(&request), fast.read(&request));
}
