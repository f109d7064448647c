//! The prices of AI models, and the API fields that they accept.
//!
//! Both change with every generation of models, so both are data. An unknown model is priced at the
//! highest prices of its provider and is sent the fewest fields. An estimate that is too high costs
//! no user any money.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Tokens;

const EMBEDDED: &str = include_str!("../../data/classifiers.toml");

/// The terms of one model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Terms {
    /// The provider.
    provider: String,
    /// The prefix of the names of such models.
    name: String,
    /// Micro-dollars per million input tokens that are neither written to a prompt cache nor read
    /// from one.
    pub input_micros: u64,
    /// Micro-dollars per million input tokens that are written to a prompt cache.
    pub cache_write_micros: u64,
    /// Micro-dollars per million input tokens that are read from a prompt cache.
    pub cache_read_micros: u64,
    /// Micro-dollars per million output tokens.
    pub output_micros: u64,
    /// The maximum output tokens of a call.
    pub max_output_tokens: u64,
    /// How the model is held to the format of the answer.
    pub structure: Structure,
    /// The field that limits the output.
    #[serde(default)]
    pub output_limit: OutputLimit,
    /// Whether the model accepts a temperature.
    #[serde(default)]
    pub temperature: bool,
    /// The reasoning effort in the terms of the model, if it accepts one.
    #[serde(default)]
    pub effort: Option<String>,
}

/// How a model is held to the format of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Structure {
    /// A tool that the model must use.
    Tool,
    /// A JSON schema for the output.
    Schema,
    /// The instructions alone.
    Text,
}

/// The field that limits the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputLimit {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

impl OutputLimit {
    /// Returns the name of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub(crate) input: u64,
    pub(crate) cache_write: u64,
    pub(crate) cache_read: u64,
    pub(crate) output: u64,
}

impl Usage {
    pub(crate) const fn tokens(self) -> Tokens {
        let input = self.input.saturating_add(self.cache_write).saturating_add(self.cache_read);
        Tokens { input, output: self.output }
    }
}

impl Terms {
    /// Returns the terms of a model. The module documentation describes unknown models.
    pub fn of(provider: &str, model: &str) -> Self {
        let ours = || table().iter().filter(|terms| terms.provider == provider);
        let known = ours().filter(|terms| terms.are_of(model)).max_by_key(|terms| terms.name.len());
        known.cloned().unwrap_or_else(|| {
            let highest = |price: fn(&Self) -> u64| ours().map(price).max().unwrap_or_default();
            Self {
                provider: provider.to_owned(),
                name: model.to_owned(),
                input_micros: highest(|terms| terms.input_micros),
                cache_write_micros: highest(|terms| terms.cache_write_micros),
                cache_read_micros: highest(|terms| terms.input_micros),
                output_micros: highest(|terms| terms.output_micros),
                max_output_tokens: highest(|terms| terms.max_output_tokens),
                structure: Structure::Schema,
                output_limit: OutputLimit::MaxTokens,
                temperature: false,
                effort: None,
            }
        })
    }

    /// Returns whether these are the terms of a model: its exact name, or the name with a version
    /// after it.
    fn are_of(&self, model: &str) -> bool {
        let version = model.strip_prefix(&*self.name);
        version.is_some_and(|version| {
            self.name.ends_with('-') || version.is_empty() || version.starts_with(['-', ':'])
        })
    }

    /// Returns the fields that limit and stabilize the output, as far as the model accepts them.
    pub(crate) fn sampling(&self) -> impl Iterator<Item = (String, Value)> {
        let limit = (self.output_limit.as_str().to_owned(), self.max_output_tokens.into());
        let temperature = self.temperature.then(|| ("temperature".to_owned(), 0.into()));
        std::iter::once(limit).chain(temperature)
    }

    /// Returns the cost of a call in micro-dollars, rounded up.
    pub(crate) fn cost(&self, usage: Usage) -> u64 {
        let parts = [
            (usage.input, self.input_micros),
            (usage.cache_write, self.cache_write_micros),
            (usage.cache_read, self.cache_read_micros),
            (usage.output, self.output_micros),
        ];
        let total: u128 = parts.iter().map(|&(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Returns the maximum cost of a call with this number of input tokens, in micro-dollars.
    pub(crate) fn at_most(&self, input: u64) -> u64 {
        let dearest = self.input_micros.max(self.cache_write_micros).max(self.cache_read_micros);
        let terms = Self { input_micros: dearest, ..self.clone() };
        terms.cost(Usage { input, output: self.max_output_tokens, ..Usage::default() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    models: Vec<Terms>,
}

fn table() -> &'static [Terms] {
    static TABLE: LazyLock<Vec<Terms>> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "the file is part of the source and is read by a test")]
        let file: File = toml::from_str(EMBEDDED).expect("the embedded terms are valid");
        file.models
    });
    &TABLE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_match_by_the_longest_prefix() {
        assert_eq!(Terms::of("anthropic", "claude-haiku-4-5-20251001").input_micros, 1_000_000);
        assert_eq!(Terms::of("anthropic", "claude-opus-5-5").input_micros, 4_000_000);
        assert_eq!(Terms::of("anthropic", "claude-opus-4-8").input_micros, 5_000_000);
        assert_eq!(Terms::of("anthropic", "claude-opus-4-1-20250805").input_micros, 15_000_000);
        assert_eq!(Terms::of("anthropic", "claude-sonnet-5-5").cache_read_micros, 100_000);
        assert_eq!(Terms::of("openai", "gpt-5.6-luna").effort.as_deref(), Some("none"));
        assert_eq!(Terms::of("openai", "gpt-4o-2024-08-06").input_micros, 2_500_000);
        assert_eq!(Terms::of("openai", "gpt-4.15").output_micros, 50_000_000, "no version of gpt-4.1");
        assert_eq!(Terms::of("replicate", "openai/gpt-4.1-mini:0123abcd").output_micros, 1_600_000);
    }

    #[test]
    fn an_unknown_model_has_the_highest_prices() {
        let unknown = Terms::of("anthropic", "claude-next");
        assert_eq!((unknown.input_micros, unknown.output_micros), (15_000_000, 75_000_000));
        assert!(!unknown.temperature);
        assert_eq!(Terms::of("nobody", "x").at_most(1_000_000), 0);
    }

    #[test]
    fn the_cost_is_the_sum_over_kinds_of_tokens() {
        let terms = Terms::of("anthropic", "claude-haiku-4-5");
        let usage = Usage { input: 1_000, cache_write: 1_000, cache_read: 10_000, output: 200 };
        assert_eq!(terms.cost(usage), 1_000 + 1_250 + 1_000 + 1_000);
        assert_eq!(
            terms.cost(Usage { cache_read: 1, ..Usage::default() }),
            1,
            "a part of a micro-dollar is one"
        );
        assert_eq!(terms.cost(Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() }), u64::MAX);
    }

    #[test]
    fn the_readme_states_what_a_call_costs() {
        let readme = include_str!("../../../../README.md");
        for (provider, model) in [
            ("anthropic", "claude-haiku-5-5"),
            ("openai", "gpt-5.6-luna"),
            ("replicate", "anthropic/claude-4.5-haiku"),
            ("anthropic", "claude-sonnet-4"),
        ] {
            let usage = Usage { input: 3_500, output: 250, ..Usage::default() };
            // Half a hundredth of a cent is rounded up, which no binary fraction does reliably.
            let hundredths = (Terms::of(provider, model).cost(usage) + 50) / 100;
            let dollars = format!("$0.{hundredths:04}");
            assert!(readme.contains(&dollars) && readme.contains(model), "{model}: {dollars}");
        }
    }

    proptest! {
        #[test]
        fn the_estimate_is_never_below_the_cost(parts in [0_u64..10_000, 0..10_000, 0..10_000], output in 0_u64..=2_048) {
            let terms = Terms::of("anthropic", "claude-haiku-4-5");
            let usage = Usage { input: parts[0], cache_write: parts[1], cache_read: parts[2], output };
            prop_assert!(terms.cost(usage) <= terms.at_most(parts.iter().sum()));
        }
    }
}
