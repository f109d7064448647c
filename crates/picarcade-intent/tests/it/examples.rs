//! Examples of an operator, with the weights that the service ships.

use std::num::NonZeroUsize;
use std::sync::Arc;

use picarcade_intent::evaluation::Format;
use picarcade_intent::examples::{ExampleList, Examples};
use picarcade_intent::{Answer, Classifier, Facts, Goal, Matrix, PromptType, Source, Verdict};

use crate::encoder::{IMAGE, NOTHING, SHIPPED, both_stages, request};

const REFERENCE: Facts = Facts { referenced_image: true, ..NOTHING };

fn list(rows: &[&str]) -> ExampleList {
    ExampleList::parse(rows.join("\n").as_bytes(), Format::JsonLines, &Matrix::embedded()).unwrap()
}

fn examples(rows: &[&str]) -> Arc<Examples> {
    let threads = NonZeroUsize::new(2).unwrap();
    Arc::new(Examples::new(&list(rows), &SHIPPED, threads, || true).unwrap())
}

fn taught(rows: &[&str]) -> Classifier {
    both_stages().with_examples(Some(examples(rows)))
}

fn classify(classifier: &Classifier, prompt: &str, facts: Facts) -> Verdict {
    classifier.classify_locally(&request(prompt, facts))
}

/// What an operator might teach: the trade words of a shop.
const SHOP: [&str; 5] = [
    r#"{"prompt": "product spin for the shop page", "active_image": true, "goal": "create_video"}"#,
    r#"{"prompt": "lip sync: 'welcome to our store'", "active_image": true, "expected": "IMAGE_TO_VIDEO_WITH_AUDIO"}"#,
    r#"{"prompt": "one pager for the menu", "expected": "NEW_IMAGE"}"#,
    r#"{"prompt": "status of ticket 4711 please", "goal": "none"}"#,
    r#"{"prompt": "turntable of the knight", "referenced_image": true, "goal": "create_video"}"#,
];

#[test]
fn rephrased_examples_decide_with_their_line_and_a_high_confidence() {
    let classifier = taught(&SHOP);
    for (prompt, facts, wanted, line) in [
        ("product spin for the shop page", IMAGE, PromptType::ImageToVideo, 1),
        ("a product spin for our shop page", IMAGE, PromptType::ImageToVideo, 1),
        ("lip-sync the line 'welcome to our store'", IMAGE, PromptType::ImageToVideoWithAudio, 2),
        ("a one pager for our menu", NOTHING, PromptType::NewImage, 3),
        ("a turntable of the knight", REFERENCE, PromptType::EditImageRefToVideo, 5),
    ] {
        let verdict = classify(&classifier, prompt, facts);
        assert_eq!(verdict.prompt_type, wanted, "{prompt}: {verdict:?}");
        assert_eq!((verdict.source, verdict.unclear), (Source::Local, false));
        assert!(
            verdict.confidence >= 0.9
                && verdict.reasoning.starts_with(&format!("examples: line {line} asks")),
            "{verdict:?}"
        );
        assert!(verdict.reasoning.contains("similarity "), "{verdict:?}");
    }
}

#[test]
fn an_example_can_teach_that_words_ask_for_nothing() {
    let classifier = taught(&SHOP);
    let verdict = classify(&classifier, "the status of ticket 4712 please", NOTHING);
    assert!(verdict.unclear && verdict.reasoning.starts_with("examples: line 4"), "{verdict:?}");
}

#[test]
fn other_prompts_are_decided_as_without_examples() {
    let (classifier, plain) = (taught(&SHOP), both_stages());
    for (prompt, facts) in [
        ("remove the moving truck", IMAGE),
        ("cut out the product for the shop page", IMAGE),
        ("write 'welcome to our store' on the wall", IMAGE),
        ("a one minute clip about the menu", NOTHING),
        // The same words under other media.
        ("product spin for the shop page", NOTHING),
        ("a knight in a forest", REFERENCE),
    ] {
        assert_eq!(classify(&classifier, prompt, facts), classify(&plain, prompt, facts), "{prompt}");
    }
}

#[test]
fn near_examples_that_disagree_leave_the_ordinary_decision_and_are_reported() {
    let rows = [
        r#"{"prompt": "spin of the red shoe", "active_image": true, "goal": "create_video"}"#,
        r#"{"prompt": "spin of the blue shoe", "active_image": true, "goal": "add_element"}"#,
    ];
    let conflicts = examples(&rows).conflicts(&Matrix::embedded());
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!((conflicts[0].first, conflicts[0].second), (1, 2));
    let classifier = taught(&rows);
    assert_eq!(
        classify(&classifier, "spin of the green shoe", IMAGE),
        classify(&both_stages(), "spin of the green shoe", IMAGE)
    );
    let exact = classify(&classifier, "spin of the blue shoe", IMAGE);
    assert!(exact.reasoning.starts_with("examples: line 2"), "{exact:?}");
}

#[test]
fn an_ai_keeps_its_answer_and_is_corrected_by_examples() {
    let classifier = taught(&SHOP);
    let request = request("product spin for the shop page", IMAGE);
    let answer = |prompt_type: &str| {
        let json = format!(
            r#"{{"prompt_type": "{prompt_type}", "confidence": 0.7, "reasoning": "r", "enhanced_prompt": ""}}"#
        );
        Answer::from_json(serde_json::from_str(&json).unwrap(), 0).unwrap()
    };
    let read = classifier.read(&request);
    assert_eq!(read.best().0, Goal::CreateVideo);
    let kept = classifier.correct_with(&request, answer("EDIT_IMAGE"), read);
    assert_eq!((kept.prompt_type, kept.confidence), (PromptType::EditImage, 0.7));
    let corrected = classifier.correct_with(&request, answer("VIDEO_EDIT"), read);
    assert_eq!(corrected.prompt_type, PromptType::ImageToVideo);
}

#[test]
fn examples_are_deterministic_and_can_be_abandoned() {
    let rows = [SHOP[0], SHOP[2]];
    let (one, two) = (taught(&rows), taught(&rows));
    let request = request("product spin for our shop page", IMAGE);
    assert_eq!(one.read(&request), two.read(&request));
    assert!(Examples::new(&list(&rows), &SHIPPED, NonZeroUsize::MIN, || false).is_none());
    let plain = both_stages();
    assert_eq!(one.read_fast(&request), plain.read_fast(&request));
    assert_eq!(one.with_examples(None).read(&request), plain.read(&request));
}
