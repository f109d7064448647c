//! The offline forms, as they go to the models.

use std::fmt::Write;

use picarcade_intent::{PromptType, Strategy, enhance, enhance_with};

use crate::support::request;

/// One short and one detailed prompt for each type, in the order of the types.
fn cases() -> Vec<(PromptType, &'static str, &'static str, bool)> {
    use PromptType as T;
    vec![
        (T::NewImage, "  a red   fox ", "", false),
        (T::NewImageRef, "@anna and  @bob at the beach", "ur", false),
        (T::EditImage, "make the sky purple", "i", false),
        (T::EditImageRef, "give her @hat", "iur", false),
        (T::EditImageRef, "wear this", "iu", false),
        (T::EditImageAddNew, "put @rex next to the sofa", "ir", false),
        (T::NewVideo, "a fox running through snow", "", false),
        (T::NewVideoWithAudio, "a man says \"good morning\" to his dog", "", true),
        (T::ImageToVideo, "let her hair blow in the wind", "i", false),
        (T::ImageToVideoWithAudio, "make her sing", "i", true),
        (T::EditImageRefToVideo, "put on @hat and walk away", "ir", false),
        (T::EditImageRefToVideo, "dance to music", "u", true),
        (T::VideoEdit, "make it black and white", "v", false),
        (T::VideoEditRef, "replace the car with @truck", "vr", false),
        (T::EditImage, "空を紫にして", "i", false),
        (T::EditImageRef, "उसे @hat पहना दो", "ir", false),
    ]
}

const DETAILED: &str = "replace the old wooden door behind the woman in the red coat with @door and keep everything else \
                        about the house";

#[test]
fn every_type_has_its_form() {
    let mut shown = String::new();
    for (prompt_type, prompt, letters, audio) in cases() {
        let text = enhance(prompt_type, &request(prompt, letters), audio);
        write!(shown, "{prompt_type} <- {prompt}\n{text}\n\n").unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_detailed_prompt_only_gets_what_must_stay() {
    let mut shown = String::new();
    for prompt_type in PromptType::ALL {
        let text = enhance(prompt_type, &request(DETAILED, "ivur"), true);
        assert!(text.starts_with(DETAILED), "{text}");
        write!(shown, "{prompt_type}\n{}\n\n", text[DETAILED.len()..].trim_start()).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn fifteen_words_are_few_and_sixteen_are_many() {
    let words = |count: usize| vec!["word"; count].join(" ");
    let short = enhance(PromptType::NewVideo, &request(&words(15), ""), false);
    assert!(short.starts_with("Subject: "));
    assert_eq!(enhance(PromptType::NewVideo, &request(&words(16), ""), false), words(16));
}

#[test]
fn tags_are_kept_by_every_strategy() {
    for prompt in ["mix @anna with @hat-2 and @日本", DETAILED] {
        let request = request(prompt, "ivur");
        for strategy in Strategy::ALL {
            for prompt_type in PromptType::ALL {
                let text = enhance_with(strategy, prompt_type, &request, true);
                for tag in request.tags() {
                    assert!(text.contains(&format!("@{tag}")), "{strategy} {prompt_type}: {text}");
                }
            }
        }
    }
}

#[test]
fn uploads_are_numbered_and_the_working_image_is_the_target() {
    for prompt_type in [PromptType::EditImageRef, PromptType::EditImageAddNew] {
        for prompt in ["wear these", DETAILED] {
            let text = enhance(prompt_type, &request(prompt, "iur"), false);
            for tag in ["@working_image", "@reference_1", "@reference_2"] {
                assert!(text.contains(tag), "{tag} in {text}");
            }
            assert!(!text.contains("@reference_3"));
        }
    }
}

#[test]
fn a_thousand_tags_are_named_up_to_a_bound() {
    let prompt: String = (0..1_000).map(|number| format!("@t{number}")).collect::<Vec<_>>().join("/");
    let text = enhance(PromptType::EditImageRef, &request(&prompt, "ir"), false);
    assert!(text.contains("988 more references"), "{text}");
    assert!(text.len() < prompt.len() + 1_000);
}

#[test]
fn lone_and_unpaired_tags_are_text() {
    for prompt in ["@", "an @ sign and <unclosed @", "@missing"] {
        let mut request = request(prompt, "ir");
        request.media.reference_images.clear();
        let text = enhance(PromptType::EditImageRef, &request, false);
        assert!(text.contains(prompt), "{text}");
    }
}
