//! The number of answers by source, first degraded reason and type.
//!
//! They are counted in an array and published later: a series with three labels would cost each
//! request an allocation.

use std::sync::atomic::{AtomicU64, Ordering};

use picarcade_intent::{PromptType, Source};

use crate::degraded::Degraded;

/// No reason, and each reason.
const REASONS: usize = Degraded::ALL.len() + 1;

/// Counts of answers.
#[derive(Debug)]
pub(crate) struct AnswerCounts([[[AtomicU64; PromptType::COUNT]; REASONS]; Source::ALL.len()]);

impl Default for AnswerCounts {
    fn default() -> Self {
        Self(
            [const { [const { [const { AtomicU64::new(0) }; PromptType::COUNT] }; REASONS] };
                Source::ALL.len()],
        )
    }
}

impl AnswerCounts {
    /// Counts an answer. `reason` is the first of its degraded reasons.
    pub(crate) fn record(&self, source: Source, reason: Option<Degraded>, prompt_type: PromptType) {
        let reason = reason.map_or(0, |reason| reason as usize + 1);
        let of_source = self.0.get(source as usize).and_then(|reasons| reasons.get(reason));
        if let Some(count) = of_source.and_then(|types| types.get(prompt_type as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each count that is not zero, with its source, reason (or `none`) and type.
    #[cfg(feature = "metrics")]
    pub(crate) fn counted(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        let reasons = || std::iter::once("none").chain(Degraded::ALL.map(Degraded::as_str));
        self.0.iter().zip(Source::ALL).flat_map(move |(of_source, source)| {
            of_source.iter().zip(reasons()).flat_map(move |(of_reason, reason)| {
                of_reason.iter().zip(PromptType::ALL).filter_map(move |(count, prompt_type)| {
                    let count = count.load(Ordering::Relaxed);
                    (count > 0).then_some(([source.as_str(), reason, prompt_type.as_str()], count))
                })
            })
        })
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_labels() {
        for (index, reason) in Degraded::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.as_str());
        }
        let counts = AnswerCounts::default();
        counts.record(Source::Local, Some(Degraded::ModelUnavailable), PromptType::VideoEditRef);
        counts.record(Source::Llm, None, PromptType::NewImage);
        counts.record(Source::Llm, None, PromptType::NewImage);
        let expected =
            [(["llm", "none", "NEW_IMAGE"], 2), (["local", "model_unavailable", "VIDEO_EDIT_REF"], 1)];
        assert_eq!(counts.counted().collect::<Vec<_>>(), expected);
    }
}
