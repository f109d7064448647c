//! The crate from outside: decisions, corrections, enhanced prompts, files with mistakes, and providers that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[cfg(feature = "providers")]
mod anthropic;
mod correction;
mod enhancement;
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
