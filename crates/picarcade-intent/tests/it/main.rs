//! The public behavior of the crate: decisions, corrections, enhanced prompts, faulty files, and
//! faulty providers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "providers")]
mod anthropic;
mod correction;
#[cfg(feature = "encoder")]
mod encoder;
mod enhancement;
#[cfg(feature = "encoder")]
mod examples;
#[cfg(feature = "providers")]
mod faults;
mod injection;
#[cfg(feature = "providers")]
mod odd_answers;
#[cfg(feature = "providers")]
mod openai;
#[cfg(feature = "providers")]
mod replicate;
mod rules;
mod support;
