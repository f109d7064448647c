//! The enhanced prompts as the models get them: the offline forms, and the handling of texts of an
//! AI.

use std::fmt::Write;

use picarcade_intent::{Answer, Classifier, Matrix, PromptType, Strategy, enhance, enhance_with};

use crate::support::request;

/// Prompts as people write them, for each type with possible media. The letters are the facts; a
/// capital `A` is wanted sound.
fn prompts(prompt_type: PromptType) -> &'static [(&'static str, &'static str)] {
    use PromptType as T;
    match prompt_type {
        T::NewImage => &[
            ("  a red   fox ", ""),
            ("make the sky purple", ""),
            ("un gato con corona, óleo", ""),
            ("雪の中の赤い狐", ""),
            ("a poster for @nasa", "i"),
        ],
        T::NewImageRef => &[
            ("@anna and  @bob at the beach", "r"),
            ("brighten this", "u"),
            ("@anna wearing these", "ur"),
            ("fotografia di @anna in un campo di girasoli", "r"),
            ("@anna と @bob が浜辺で笑っている", "vr"),
            ("안나처럼 그려줘", "u"),
        ],
        T::EditImage => &[
            ("make the sky purple", "i"),
            ("add a sign that says \"OPEN\"", "i"),
            ("brighten it!", "i"),
            ("mach den Himmel lila", "i"),
            ("空を紫にして", "i"),
            ("اجعل السماء أرجوانية", "i"),
            ("उसके बाल लाल कर दो", "i"),
        ],
        T::EditImageRef => &[
            ("give her @hat", "ir"),
            ("wear this", "iu"),
            ("give her @hat and the background of the second one", "iur"),
            ("donne-lui @hat", "ir"),
            ("उसे @hat पहना दो", "ir"),
            ("给她戴上@hat", "ir"),
        ],
        T::EditImageAddNew => &[
            ("put @rex next to the sofa", "ir"),
            ("place the car I uploaded in the driveway", "iu"),
            ("put @rex and these on the lawn", "iur"),
            ("coloque @rex no sofá", "ir"),
            ("ضع هذه الشجرة بجانب البيت", "iu"),
        ],
        T::NewVideo => &[
            ("a fox running through snow", ""),
            ("ein kurzer Clip von Wellen am Strand", ""),
            ("猫がピアノの上を歩く動画", ""),
            ("now a new clip: a train crossing a viaduct", "v"),
        ],
        T::NewVideoWithAudio => &[
            ("a man says \"good morning\" to his dog", "A"),
            ("make an old man say 'I don't remember', with rain", "A"),
            ("un clip où l'on entend le vent et des cloches", "A"),
            ("한 여자가 자장가를 부르는 영상", "A"),
            ("女の子が「ただいま」と言う動画", "A"),
        ],
        T::ImageToVideo => &[
            ("let her hair blow in the wind", "i"),
            ("zoom out slowly", "i"),
            ("rüzgarda saçları dalgalansın", "i"),
            ("пусть листья медленно падают", "i"),
        ],
        T::ImageToVideoWithAudio => &[
            ("make her sing", "iA"),
            ("make her say “happy birthday, Tom”", "iA"),
            ("пусть он поёт", "iA"),
            ("que diga «buenas noches»", "ivA"),
        ],
        T::EditImageRefToVideo => &[
            ("put on @hat and walk away", "ir"),
            ("dance to music", "uA"),
            ("put this on and say \"how do I look?\"", "iuA"),
            ("faça um vídeo dela caminhando na praia", "u"),
            ("make a separate video of @anna waving", "vr"),
        ],
        T::VideoEdit => &[
            ("make it black and white", "v"),
            ("add background music", "v"),
            ("加上烟花", "v"),
            ("ralentiscila", "iv"),
        ],
        T::VideoEditRef => &[
            ("replace the car with @truck", "vr"),
            ("put this logo in the corner", "vu"),
            ("replace the car with @truck and the driver with this", "ivur"),
            ("reemplaza el coche por @truck", "vr"),
        ],
    }
}

#[test]
fn every_type_has_its_offline_form() {
    for prompt_type in PromptType::ALL {
        let mut shown = String::new();
        for (prompt, media) in prompts(prompt_type) {
            let (request, audio) = (request(prompt, media), media.contains('A'));
            let feasible = Matrix::embedded().feasible(request.facts);
            assert!(feasible.contains(prompt_type), "{prompt_type} is possible with {media:?}");
            let text = enhance(prompt_type, &request, audio);
            assert!(text.contains(prompt.trim()), "{text}");
            write!(shown, "{media:-<2} {prompt}\n{text}\n\n").unwrap();
        }
        insta::assert_snapshot!(prompt_type.as_str().to_lowercase(), shown);
    }
}

/// Returns an AI's prompt for a type that is accepted: it names the required tags of the strategy.
fn good(prompt_type: PromptType) -> (&'static str, &'static str, &'static str) {
    use PromptType as T;
    match prompt_type {
        T::NewImage => ("a red fox", "", "A red fox in deep snow."),
        T::NewImageRef => {
            ("@anna at the beach", "ur", "@anna at the beach, with the same face, hair and build.")
        }
        T::EditImage => ("make sky purple", "i", "Make the sky purple. Keep everything else as it is."),
        T::EditImageRef => (
            "give her @hat",
            "iur",
            "Put @hat on the woman in @working_image, coloured like @reference_1 and @reference_2. Keep the rest.",
        ),
        T::EditImageAddNew => {
            ("put @rex here", "ir", "Add @rex to @working_image. Keep what is there already.")
        }
        T::NewVideo => ("fox in snow", "", "Subject: a fox. Camera movement: a slow tracking shot."),
        T::NewVideoWithAudio => ("he says hi", "", "Subject: a man. Dialogue: he says \"hi\"."),
        T::ImageToVideo => ("let hair blow", "i", "Her hair blows gently. The rest of the image stays."),
        T::ImageToVideoWithAudio => ("make her sing", "i", "She sings softly. Her looks stay."),
        T::EditImageRefToVideo => {
            ("put on @hat, walk", "ir", "First put @hat on @working_image, then walk away.")
        }
        T::VideoEdit => ("make it night", "v", "Make it night. The people, the motion and the sound stay."),
        T::VideoEditRef => {
            ("add this to @car", "vur", "Add @reference_1 and @reference_2 to @car. The rest stays.")
        }
    }
}

#[test]
fn an_ai_writes_for_every_type_and_a_bad_prompt_becomes_the_offline_form() {
    let classifier = Classifier::new(Matrix::embedded());
    for prompt_type in PromptType::ALL {
        let (prompt, media, text) = good(prompt_type);
        let request = request(prompt, media);
        let answered = |enhanced_prompt: String| {
            let reasoning = "because".to_owned();
            let answer = Answer {
                prompt_type,
                enhanced_prompt,
                confidence: 0.9,
                reasoning,
                cost_micros: 1,
                tokens: None,
            };
            let verdict = classifier.correct(&request, answer);
            assert_eq!((verdict.prompt_type, verdict.corrected_from), (prompt_type, None));
            (classifier.enhanced(&request, &verdict), verdict)
        };
        let (used, verdict) = answered(text.to_owned());
        if prompt_type == PromptType::NewImage {
            assert_eq!((used.as_str(), verdict.enhancement), (prompt, None), "as given");
            continue;
        }
        assert_eq!((used.as_str(), verdict.enhancement.as_deref()), (text, Some(text)));
        let offline = enhance(prompt_type, &request, verdict.audio);
        let mut bad =
            vec![String::new(), " \n\u{200b}".to_owned(), "x".repeat(2_001), format!("{text} @nobody")];
        // Each tag in turn is dropped and then renamed.
        let tags = ["@hat", "@anna", "@rex", "@car", "@working_image", "@reference_1", "@reference_2"];
        for tag in tags.into_iter().filter(|tag| text.contains(tag)) {
            // The first frame of a video may have any name.
            if (prompt_type, tag) != (PromptType::EditImageRefToVideo, "@working_image") {
                bad.push(text.replace(tag, "it"));
            }
            bad.push(text.replace(tag, &format!("{tag}_2")));
        }
        for bad in bad {
            let (used, verdict) = answered(bad.clone());
            assert_eq!((used.as_str(), verdict.enhancement), (&*offline, None), "{prompt_type}: {bad:.80}");
        }
    }
}

const DETAILED: &str = "replace the old wooden door behind the woman in the red coat with @door and keep everything else \
                        about the house";

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
fn a_prompt_of_sixteen_words_is_detailed() {
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
fn lone_and_unmatched_tags_are_text() {
    for prompt in ["@", "an @ sign and <unclosed @", "@missing"] {
        let mut request = request(prompt, "ir");
        request.media.reference_images.clear();
        let text = enhance(PromptType::EditImageRef, &request, false);
        assert!(text.contains(prompt), "{text}");
    }
}
