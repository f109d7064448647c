//! Every combination of facts, words and answers gives a feasible and consistent result.

use picarcade_intent::{
    Answer, Classifier, Facts, Goal, LocalClassifier, Matrix, PromptType, Source, Strategy, Verdict, enhance,
};
use proptest::prelude::{Just, ProptestConfig, prop_assert, prop_oneof, proptest};
use serde_json::{Value, json};

use crate::support::request;

/// Words for each goal, so that every combination of goal and facts is tested.
const WORDS: [(Goal, &str); Goal::COUNT] = [
    (Goal::CreateImage, "a watercolor painting of a lighthouse on a cliff"),
    (Goal::Edit, "make the sky purple"),
    (Goal::AddElement, "add a golden retriever next to the bench"),
    (Goal::CreateVideo, "make a video of waves rolling onto the beach"),
    (Goal::CreateVideoWithAudio, "create a video with music and a man saying hello"),
];

fn answer(prompt_type: PromptType) -> Answer {
    Answer {
        prompt_type,
        enhanced_prompt: "An entirely different picture of a castle.".to_owned(),
        confidence: 0.97,
        reasoning: "because the words say so".to_owned(),
        cost_micros: 1_234,
        tokens: None,
    }
}

fn letters(facts: Facts) -> String {
    let letters = [
        ('i', facts.active_image),
        ('v', facts.active_video),
        ('u', facts.uploaded_image),
        ('r', facts.referenced_image),
    ];
    letters.into_iter().filter(|(_, is_set)| *is_set).map(|(letter, _)| letter).collect()
}

/// Checks what must hold for any verdict.
fn assert_consistent(matrix: &Matrix, verdict: &Verdict, facts: Facts) {
    assert!(matrix.feasible(facts).contains(verdict.prompt_type), "{verdict:?} {facts:?}");
    assert_eq!(matrix.decide(verdict.goal, facts).prompt_type, verdict.prompt_type);
    assert!((0.0..=1.0).contains(&verdict.confidence));
    assert_eq!(verdict.audio, verdict.goal == Goal::CreateVideoWithAudio);
    assert!(!verdict.reasoning.is_empty());
}

/// What a prompt for a type must contain in addition to the words of the user.
fn marks(prompt_type: PromptType, facts: Facts) -> Vec<&'static str> {
    use PromptType as T;
    let mut marks = match prompt_type {
        T::NewImage => vec![],
        T::NewImageRef => vec!["Keep the identity of everyone shown in"],
        T::EditImage => vec!["Keep everything else in the image"],
        T::EditImageRef => vec!["Edit @working_image:", "Keep everything else in @working_image"],
        T::EditImageAddNew => {
            vec!["Add to @working_image:", "Keep everything that is already in @working_image"]
        }
        T::NewVideo => vec!["Subject: ", "Camera movement: ", "Palette: "],
        T::NewVideoWithAudio => {
            vec!["Subject: ", "Camera movement: ", "Palette: ", "Sound cues: ", "Dialogue: "]
        }
        T::ImageToVideo => vec!["Animate", "Stay faithful to the image"],
        T::ImageToVideoWithAudio => vec!["Animate", "Stay faithful to the image", "Sound: ", "Dialogue: "],
        T::EditImageRefToVideo => vec!["Step 1, the image:", "Step 2, the motion:"],
        T::VideoEdit | T::VideoEditRef => vec!["Keep everything else in the video"],
    };
    if prompt_type.uses_references() && facts.uploaded_image {
        marks.extend(["@reference_1", "@reference_2"]);
    }
    marks
}

/// Words that only the prompt for one kind of work contains.
fn is_for_another(text: &str, prompt_type: PromptType) -> bool {
    PromptType::ALL.into_iter().any(|other| {
        let marks = marks(other, Facts::default());
        Strategy::of(other) != Strategy::of(prompt_type)
            && !marks.is_empty()
            && marks.iter().all(|mark| text.contains(mark))
    })
}

#[test]
fn every_answer_becomes_a_feasible_verdict() {
    let matrix = Matrix::embedded();
    let classifier = Classifier::new(Matrix::embedded());
    for facts in Facts::all() {
        for (goal, words) in WORDS {
            let request = request(words, &letters(facts));
            let local = classifier.classify_locally(&request);
            assert_consistent(&matrix, &local, facts);
            assert_eq!((local.source, local.corrected_from), (Source::Local, None));
            // The words must really have this goal.
            assert_eq!(local.prompt_type, matrix.decide(goal, facts).prompt_type, "{words} {facts:?}");
            for prompt_type in PromptType::ALL {
                let verdict = classifier.correct(&request, answer(prompt_type));
                assert_consistent(&matrix, &verdict, facts);
                assert_eq!(verdict.source, Source::Llm);
                assert_eq!(verdict.reasoning, "because the words say so");
                if matrix.feasible(facts).contains(prompt_type) {
                    assert_eq!((verdict.prompt_type, verdict.corrected_from), (prompt_type, None));
                    assert!((verdict.confidence - 0.97).abs() < f64::EPSILON, "as the AI states it");
                } else {
                    assert_eq!(verdict.prompt_type, local.prompt_type, "the likeliest feasible type");
                    assert_eq!(verdict.corrected_from, Some(prompt_type));
                    assert_eq!(verdict.enhancement, None, "a prompt for something else is not kept");
                    assert!((verdict.confidence - local.confidence).abs() < f64::EPSILON);
                    let rebuilt = classifier.enhanced(&request, &verdict);
                    assert!(rebuilt.contains(words), "{rebuilt}");
                    for mark in marks(verdict.prompt_type, facts) {
                        assert!(rebuilt.contains(mark), "{} without {mark}: {rebuilt}", verdict.prompt_type);
                    }
                    assert!(!is_for_another(&rebuilt, verdict.prompt_type), "{rebuilt}");
                }
            }
        }
    }
}

/// A provider sends a usable answer or none. Without one, the local classifier answers the same
/// question.
#[test]
fn every_json_object_is_judged_or_unusable() {
    let matrix = Matrix::embedded();
    let classifier = Classifier::new(Matrix::embedded());
    let types = PromptType::ALL.map(PromptType::as_str).into_iter().chain(["", "edit_image", "MAKE_COFFEE"]);
    let types: Vec<Value> =
        types.map(Value::from).chain([Value::Null, json!(7), json!(["EDIT_IMAGE"])]).collect();
    let texts =
        [json!(""), json!("A castle."), json!("@nobody"), json!("x".repeat(2_001)), json!(null), json!(1)];
    let confidences = [json!(0.5), json!(-3), json!(1e300), json!("high"), json!(null)];
    for facts in Facts::all() {
        let request = request("make the sky purple", &letters(facts));
        for prompt_type in &types {
            for enhanced in &texts {
                for confidence in &confidences {
                    let object = json!({
                        "prompt_type": prompt_type, "enhanced_prompt": enhanced, "confidence": confidence,
                        "reasoning": "r",
                    });
                    let verdict = match Answer::from_json(object, 1) {
                        Ok(answer) => classifier.correct(&request, answer),
                        Err(_) => classifier.classify_locally(&request),
                    };
                    assert_consistent(&matrix, &verdict, facts);
                    assert!(!classifier.enhanced(&request, &verdict).contains("@nobody"));
                }
            }
        }
    }
}

#[test]
fn the_probability_of_a_type_is_the_sum_of_its_goals() {
    let (matrix, classifier) = (Matrix::embedded(), Classifier::new(Matrix::embedded()));
    for facts in Facts::all() {
        for (_, words) in WORDS {
            let request = request(words, &letters(facts));
            let goals = LocalClassifier::embedded().goals(request.prompt.as_str(), facts);
            let probability = |wanted: PromptType| -> f64 {
                let leading =
                    Goal::ALL.into_iter().filter(|goal| matrix.decide(*goal, facts).prompt_type == wanted);
                leading.map(|goal| f64::from(goals.get(goal))).sum()
            };
            let verdict = classifier.classify_locally(&request);
            assert!((verdict.confidence - probability(verdict.prompt_type)).abs() <= 1e-4);
            for other in matrix.feasible(facts).iter() {
                assert!(probability(other) <= probability(verdict.prompt_type) + 1e-9);
            }
        }
    }
}

#[test]
fn an_acceptable_enhanced_prompt_is_kept_and_another_is_not() {
    let classifier = Classifier::new(Matrix::embedded());
    let request = request("give her @hat", "ir");
    let with = |enhanced: &str| {
        let answer = Answer { enhanced_prompt: enhanced.to_owned(), ..answer(PromptType::EditImageRef) };
        classifier.correct(&request, answer).enhancement
    };
    let good = "Put @hat on the woman in @working_image. Everything else stays.";
    assert_eq!(with(good).as_deref(), Some(good));
    for bad in ["", "Put a hat on her.", "Put @hat and @scarf on the woman in @working_image."] {
        assert_eq!(with(bad), None, "{bad}");
    }
}

#[test]
fn wanted_sound_with_references_is_recognized() {
    let classifier = Classifier::new(Matrix::embedded());
    for (words, audio) in
        [("make a video with music and a man saying hello", true), ("make a video of this", false)]
    {
        let request = request(words, "u");
        let verdict = classifier.correct(&request, answer(PromptType::EditImageRefToVideo));
        assert_eq!((verdict.prompt_type, verdict.audio), (PromptType::EditImageRefToVideo, audio), "{words}");
    }
}

#[test]
fn the_facts_decide_if_one_type_is_feasible() {
    let only_pictures = "goal,active_image,active_video,references,prompt_type,model,enhancement\n\
                         -,-,-,NO,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\n\
                         \"create_image, edit, add_element\",-,-,YES,NEW_IMAGE_REF,runway_gen4_image,clarify_keep_identity\n\
                         -,-,-,YES,EDIT_IMAGE_REF_TO_VIDEO,runwayml/gen4-turbo,update_then_motion\n";
    let matrix = Matrix::parse(only_pictures.as_bytes(), &picarcade_intent::Catalogue::embedded()).unwrap();
    let classifier = Classifier::new(matrix.into());
    let verdict = classifier.classify_by_facts(&request("make a video of a fox", "iv")).unwrap();
    assert_eq!((verdict.prompt_type, verdict.source), (PromptType::NewImage, Source::Rules));
    assert!((verdict.confidence - 1.0).abs() < f64::EPSILON);
    assert_eq!(classifier.classify_by_facts(&request("make a video of a fox", "u")), None);
    let embedded = Classifier::new(Matrix::embedded());
    assert!(
        Facts::all().all(|facts| embedded.classify_by_facts(&request("a fox", &letters(facts))).is_none())
    );
}

#[test]
fn the_strategy_comes_from_the_matrix() {
    let plain = Matrix::embedded().to_csv().replace(",clarify\n", ",none\n");
    let matrix = Matrix::parse(plain.as_bytes(), &picarcade_intent::Catalogue::embedded()).unwrap();
    let (plain, usual) = (Classifier::new(matrix.into()), Classifier::new(Matrix::embedded()));
    let request = request("make the sky purple", "i");
    let said =
        Answer { enhanced_prompt: "Purple sky. Keep the rest.".to_owned(), ..answer(PromptType::EditImage) };
    for (classifier, by_ai, offline) in [
        (&plain, "make the sky purple", "make the sky purple".to_owned()),
        (&usual, "Purple sky. Keep the rest.", enhance(PromptType::EditImage, &request, false)),
    ] {
        let verdict = classifier.correct(&request, said.clone());
        assert_eq!(classifier.enhanced(&request, &verdict), by_ai);
        assert_eq!(classifier.enhanced(&request, &Verdict { enhancement: None, ..verdict }), offline);
    }
}

#[test]
fn a_verdict_serializes_and_deserializes() {
    let classifier = Classifier::new(Matrix::embedded());
    let request = request("make the sky purple", "i");
    for verdict in
        [classifier.classify_locally(&request), classifier.correct(&request, answer(PromptType::VideoEdit))]
    {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Holds for any words and any answer of an AI.
    #[test]
    fn no_words_and_no_answer_break_the_promise(
        words in "\\PC{1,200}",
        bits in 0_u8..16,
        said in 0..PromptType::COUNT,
        enhanced in "\\PC{0,80}",
        confidence in prop_oneof![Just(f64::INFINITY), Just(-1.0), 0.0..=1.0],
    ) {
        let Ok(prompt) = picarcade_intent::Prompt::new(words) else { return Ok(()) };
        let facts = Facts::from_bits(bits);
        let request = picarcade_intent::Request { prompt, ..request("x", &letters(facts)) };
        let classifier = Classifier::new(Matrix::embedded());
        let answer = Answer { enhanced_prompt: enhanced, confidence, ..answer(PromptType::ALL[said]) };
        assert_consistent(&Matrix::embedded(), &classifier.correct(&request, answer), facts);
        assert_consistent(&Matrix::embedded(), &classifier.classify_locally(&request), facts);
        for prompt_type in PromptType::ALL {
            let text = enhance(prompt_type, &request, true);
            prop_assert!(text.chars().count() <= request.prompt.as_str().chars().count() + 1_500);
        }
    }
}
