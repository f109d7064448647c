//! Questions before expensive generations.
//!
//! A video with sound costs sixty times as much as a picture. If the classifier is unsure and the
//! most likely type costs much more than the next one, a question to the user is cheaper than a
//! wrong generation.

use crate::prompt_type::PromptType;
use crate::verdict::Verdict;

/// The confidence from which no question is asked.
const SURE: f64 = 0.9;
/// The smallest probability of a cheaper type that makes a question worth asking.
const LIKELY: f64 = 0.05;
/// The smallest difference in price that makes a question worth asking, in micro-dollars.
const DIFFERENCE_MICROS: u64 = 200_000;

/// Returns a question for the user if the verdict is unsure and its type costs at least $0.20 more
/// than another likely type. `price` returns the price of one generation in micro-dollars.
pub(crate) fn confirmation(verdict: &Verdict, price: &dyn Fn(PromptType) -> u64) -> Option<String> {
    if verdict.confidence >= SURE {
        return None;
    }
    let cost = price(verdict.prompt_type);
    let is_cheaper = |other: PromptType| price(other).saturating_add(DIFFERENCE_MICROS) <= cost;
    let mut alternatives = verdict.alternatives.iter();
    alternatives.any(|other| other.probability >= LIKELY && is_cheaper(other.prompt_type)).then(|| {
        let cents = (cost + 5_000) / 10_000;
        format!("{}, about ${}.{:02}?", verdict.prompt_type.description(), cents / 100, cents % 100)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alternative, Classifier, Facts, Matrix, Media, Prompt, Request};

    #[test]
    fn an_unsure_and_expensive_type_is_a_question() {
        let request = Request {
            prompt: Prompt::new("waves at the beach").unwrap(),
            facts: Facts::default(),
            media: Media::default(),
        };
        let (still, sound) = (PromptType::NewImage, PromptType::NewVideoWithAudio);
        let verdict = |prompt_type, confidence, other, probability| Verdict {
            prompt_type,
            confidence,
            alternatives: vec![Alternative { prompt_type: other, probability }],
            ..Classifier::new(Matrix::embedded()).classify_locally(&request)
        };
        let price = |prompt_type| if prompt_type == still { 40_000 } else { 2_400_000 };
        let question = confirmation(&verdict(sound, 0.6, still, 0.3), &price);
        assert_eq!(question.as_deref(), Some("Video with sound, about $2.40?"));
        for sure in [
            verdict(sound, 0.95, still, 0.05),
            verdict(sound, 0.6, still, 0.01),
            verdict(still, 0.6, sound, 0.3),
            verdict(sound, 0.6, PromptType::NewVideo, 0.3),
        ] {
            assert_eq!(confirmation(&sure, &price), None);
        }
    }
}
