#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
//!
//! # Reading order
//!
//! The input is a [`Prompt`], [`Facts`] and [`Media`] in a [`Request`]. The words ask for a
//! [`Goal`]; the [`Matrix`] turns the goal and the facts into a [`PromptType`]. The [`Classifier`]
//! decides between the facts, the AI and the local classifier. The [`Catalogue`] chooses the model,
//! and [`enhance`] writes the prompt. Everything except the providers is pure: no I/O, no clock, no
//! randomness.

mod answer;
mod brief;
mod catalogue;
mod classifier;
mod confirm;
mod enhance;
mod error;
pub mod evaluation;
#[cfg(feature = "encoder")]
pub mod examples;
mod facts;
mod goal;
mod injection;
mod language;
pub mod local;
mod matrix;
mod problem;
mod prompt;
mod prompt_type;
mod provider;
mod request;
mod tags;
mod type_set;
mod verdict;
mod version;
mod words;

pub use answer::{Answer, Tokens, Unusable};
pub use catalogue::{Catalogue, Inputs, Model, Offer, Preference, Route, RouteNeeds};
pub use classifier::Classifier;
pub use enhance::{MAX_ENHANCED_CHARS, accept_enhancement, accept_enhancement_with, enhance, enhance_with};
#[cfg(feature = "providers")]
pub use error::ConfigError;
pub use error::{PromptError, Rejection, UnknownWord};
pub use facts::Facts;
pub use goal::Goal;
pub use local::LocalClassifier;
pub use matrix::{Matrix, MatrixRow, Strategy};
pub use problem::{Problem, Severity};
pub use prompt::Prompt;
pub use prompt_type::PromptType;
#[cfg(feature = "providers")]
pub use provider::{
    Anthropic, OpenAi, OutputLimit, ProviderBuilder, ProviderKind, ProviderSettings, Replicate, Structure,
    Terms, UnknownProvider,
};
pub use provider::{Provider, ProviderError, ProviderErrorKind};
pub use request::{Media, ReferenceImage, Request};
pub use type_set::TypeSet;
pub use verdict::{Alternative, Source, Verdict};
