//! Tests of the encoder.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::fixture::{FEED_FORWARD, Fixture, HEADS, HIDDEN, PIECES, POSITIONS, hashed};
use super::weights::CLASSES;
use super::*;
use crate::{Goal, Prompt};

static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::new);
static ENCODER: LazyLock<Encoder> = LazyLock::new(|| Encoder::parse(FIXTURE.file()).unwrap());

fn sizes() -> [u32; 7] {
    [2, HIDDEN, HEADS, FEED_FORWARD, PIECES.len(), POSITIONS, CLASSES].map(|size| size as u32)
}

fn senses_of(encoder: &Encoder, prompt: &str, facts: Facts) -> ([f32; Sense::COUNT], f32) {
    encoder.senses(&encoder.run(&encoder.tokens(prompt), facts), facts)
}

fn rejection(file: Vec<u8>) -> EncoderError {
    Encoder::parse(file).unwrap_err()
}

#[test]
fn scores_equal_those_of_a_plain_forward_pass() {
    let prompts = [
        "",
        "make the sky purple",
        "空を紫色に",
        "видео с музыкой",
        "आकाश",
        "سماء",
        "하늘",
        "unknown xyz",
        &"a video of the skyline ".repeat(30),
    ];
    for (prompt, facts) in prompts.into_iter().zip(Facts::all().step_by(2)) {
        let tokens = ENCODER.tokens(prompt);
        let expected = FIXTURE.scores(&tokens, facts);
        let scores = ENCODER.run(&ENCODER.tokens(prompt), facts).scores;
        for (score, expected) in scores.into_iter().zip(expected) {
            assert!((f64::from(score) - expected).abs() < 1e-3, "{prompt:?}: {score} and {expected}");
        }
    }
}

#[test]
fn senses_are_sharpened_and_weighed_by_their_priors() {
    let facts = Facts { active_image: true, ..Facts::default() };
    let raised = ENCODER
        .run(&ENCODER.tokens("make the sky"), facts)
        .scores
        .map(|score| (score * FIXTURE.sharpness[2]).exp());
    let weighed: Vec<f32> =
        raised.iter().zip(Sense::ALL).map(|(raised, sense)| raised * sense.prior(Regime::Image)).collect();
    let sum: f32 = weighed.iter().sum();
    for (sense, weighed) in senses_of(&ENCODER, "make the sky", facts).0.into_iter().zip(weighed) {
        assert!((sense - weighed / sum).abs() < 1e-5);
    }
}

#[test]
fn each_fact_changes_the_scores() {
    let nothing = ENCODER.run(&ENCODER.tokens("a video"), Facts::default()).scores;
    for facts in Facts::all().skip(1) {
        let scores = ENCODER.run(&ENCODER.tokens("a video"), facts).scores;
        assert!(scores.iter().zip(nothing).any(|(score, other)| (score - other).abs() > 1e-3), "{facts:?}");
    }
}

#[test]
fn both_stages_are_combined_by_their_logarithms() {
    let (mut encoder, mut linear) = ([0.0; Sense::COUNT], [0.0; Sense::COUNT]);
    (encoder[0], encoder[1]) = (0.8, 0.2);
    (linear[0], linear[1]) = (0.1, 0.9);
    let combined = combine(encoder, linear);
    let weigh = |a: f32, b: f32| a.powf(ENCODER_SHARE) * b.powf(1.0 - ENCODER_SHARE);
    let (first, second) = (weigh(0.8, 0.1), weigh(0.2, 0.9));
    assert!((combined[0] - first / (first + second)).abs() < 1e-4);
    assert!((combined.iter().sum::<f32>() - 1.0).abs() < 1e-6);
}

/// The numbers of the tokenizer in C that comes with the base model, restricted to the same pieces.
#[test]
fn tokens_are_those_of_the_base_model() {
    let cases: [(&str, &[u32]); 17] = [
        ("make the sky purple", &[0, 13, 25, 8, 29, 16, 38, 33, 35, 2]),
        ("a video of the skyline", &[0, 13, 25, 8, 6, 24, 18, 16, 38, 26, 2]),
        ("空を紫色に", &[0, 13, 25, 8, 4, 31, 22, 40, 30, 23, 2]),
        ("видео с музыкой", &[0, 13, 25, 8, 36, 19, 39, 21, 34, 2]),
        ("आकाश", &[0, 13, 25, 8, 41, 2]),
        ("سماء", &[0, 13, 25, 8, 4, 42, 2]),
        ("하늘", &[0, 13, 25, 8, 43, 2]),
        ("skyline", &[0, 13, 25, 8, 38, 26, 2]),
        ("SKY～", &[0, 13, 25, 8, 4, 3, 3, 3, 32, 2]),
        ("ｓｋｙ  ～ \n!", &[0, 13, 25, 8, 38, 4, 32, 4, 12, 2]),
        ("xyz a", &[0, 13, 25, 8, 4, 3, 14, 3, 6, 2]),
        ("空紫\u{200d}色", &[0, 13, 25, 8, 4, 31, 40, 4, 30, 2]),
        ("speak", &[0, 13, 25, 8, 4, 5, 3, 9, 7, 17, 2]),
        ("eeee", &[0, 13, 25, 8, 4, 9, 9, 9, 9, 2]),
        ("purples", &[0, 13, 25, 8, 33, 35, 5, 2]),
        (" ", &[0, 13, 25, 8, 4, 2]),
        ("", &[0, 13, 25, 8, 4, 2]),
    ];
    for (prompt, tokens) in cases {
        assert_eq!(ENCODER.tokens(prompt), tokens, "{prompt:?}");
    }
}

#[test]
fn the_text_of_a_special_piece_is_text() {
    assert_eq!(ENCODER.tokens("</s>"), [0, 13, 25, 8, 4, 37, 15, 5, 28, 2]);
    assert_eq!(ENCODER.tokens("<pad>"), [0, 13, 25, 8, 4, 37, 3, 7, 3, 28, 2]);
}

#[test]
fn rare_pieces_of_a_prompt_count_most() {
    let rarity = |piece: &str| {
        let number = PIECES.iter().position(|(other, _)| *other == piece).unwrap();
        ENCODER.tokenizer.rarity(number as u32)
    };
    assert!((rarity("▁sky") - (12.0288 - 3.9300)).abs() < 1e-4);
    assert!(rarity("▁sky") > rarity("▁the") && rarity("▁the") > 0.0);
    for everywhere in ["<s>", "</s>", "<unk>", "▁que", "ry", ":", "▁"] {
        assert!(rarity(everywhere).abs() < 1e-6, "{everywhere}");
    }
}

#[test]
fn a_long_prompt_keeps_its_beginning_and_its_end() {
    let prompt = format!("make{}~", "!".repeat(Prompt::MAX_CHARS - 5));
    let tokens = ENCODER.tokens(&prompt);
    assert_eq!(tokens.len(), POSITIONS);
    assert_eq!(tokens[..6], [0, 13, 25, 8, 29, 12]);
    assert_eq!(tokens[POSITIONS - 3..], [12, 27, 2]);
    let shorter = ENCODER.tokens(&"!".repeat(POSITIONS - 6));
    assert_eq!(shorter.len(), POSITIONS);
}

#[test]
fn a_file_of_another_kind_or_version_is_rejected() {
    assert_eq!(rejection(Vec::new()), EncoderError::NotAModel);
    assert_eq!(rejection(b"PCLOCAL\0\x01\0\0\0".to_vec()), EncoderError::NotAModel);
    assert_eq!(rejection(FIXTURE.file_with(2, sizes())), EncoderError::Version { found: 2 });
    assert_eq!(rejection(b"PCENCOD\0".to_vec()), EncoderError::Damaged);
}

#[test]
fn a_truncated_file_is_rejected_even_under_a_correct_hash() {
    let file = FIXTURE.file();
    let content = &file[..file.len() - 32];
    for length in (12..content.len()).step_by(4_997).chain([39, 40, 41, content.len() - 1]) {
        assert_eq!(rejection(file[..length].to_vec()), EncoderError::Damaged, "{length}");
        assert_eq!(rejection(hashed(content[..length].to_vec())), EncoderError::Damaged, "{length}");
    }
    let longer = [content, &[0]].concat();
    assert_eq!(rejection(hashed(longer)), EncoderError::Damaged);
}

#[test]
fn sizes_out_of_bounds_are_rejected() {
    for (place, size) in (0..7).flat_map(|place| [0, 1, 63, 1 << 20, u32::MAX].map(|size| (place, size))) {
        let mut sizes = sizes();
        if sizes[place] != size && (place, size) != (2, 1) {
            sizes[place] = size;
            assert_eq!(rejection(FIXTURE.file_with(1, sizes)), EncoderError::Damaged, "{place} {size}");
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_rejected() {
    let file = FIXTURE.file();
    let content = &file[..file.len() - 32];
    let vocabulary: usize = PIECES.iter().map(|(piece, _)| 1 + piece.len()).sum();
    let scores = 8 + 8 * 4 + vocabulary;
    // The score of a piece, the scale of a word, a position, and a sharpness.
    let words = scores + 4 * PIECES.len();
    let positions = words + PIECES.len() * HIDDEN / 32 * 18;
    for (place, bytes) in [
        (scores + 20, f32::NAN.to_le_bytes()),
        (scores + 20, 2e3_f32.to_le_bytes()),
        (words, [0, 0x7c, 0, 0]),
        (positions, f32::INFINITY.to_le_bytes()),
        (content.len() - 4, f32::NAN.to_le_bytes()),
    ] {
        let mut changed = content.to_vec();
        changed[place..place + 4].copy_from_slice(&bytes);
        assert_eq!(rejection(hashed(changed)), EncoderError::Damaged, "{place}");
    }
}

#[test]
fn threads_can_share_an_encoder() {
    fn is_shared<T: Send + Sync + fmt::Debug>(_: &T) {}
    is_shared(&*ENCODER);
    assert!(format!("{:?}", *ENCODER).contains("hidden: 64"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_gets_probabilities_and_always_the_same(
        text in any::<String>(),
        bits in 0_u8..16,
        repeat in 1_usize..40,
    ) {
        let (text, facts) = (text.repeat(repeat), Facts::from_bits(bits));
        let (senses, none) = senses_of(&ENCODER, &text, facts);
        prop_assert!((0.0..=1.0).contains(&none));
        prop_assert!(senses.iter().all(|sense| (0.0..=1.0).contains(sense)));
        prop_assert!((senses.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        prop_assert_eq!((senses, none), senses_of(&ENCODER, &text, facts));
        let (goals, embedding) = ENCODER.read(LocalClassifier::embedded(), &text, facts);
        let similarity = embedding.similarity(&embedding);
        prop_assert!((similarity.sense - 1.0).abs() < 1e-5);
        prop_assert!((0.0..1.001).contains(&similarity.words));
        prop_assert_eq!(embedding, ENCODER.embedding(&text, facts));
        let sum: f32 = Goal::ALL.into_iter().map(|goal| goals.get(goal)).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4);
    }

    #[test]
    fn a_changed_bit_is_an_error(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut file = FIXTURE.file();
        let place = place.index(file.len());
        file[place] ^= 1_u8 << bit;
        prop_assert!(Encoder::parse(file).is_err());
    }

    #[test]
    fn a_changed_byte_under_a_correct_hash_is_no_panic(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut file = FIXTURE.file();
        file.truncate(file.len() - 32);
        let place = place.index(file.len());
        file[place] = byte;
        if let Ok(encoder) = Encoder::parse(hashed(file)) {
            let (senses, _) = senses_of(&encoder, "make the sky purple", Facts::default());
            prop_assert!((senses.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
}
