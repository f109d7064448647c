//! The arithmetic of one limit for one subject.

#[expect(clippy::module_inception, reason = "the folder is named after its entry type")]
mod counter;
mod leaky;
mod reading;
mod ring;

pub(crate) use counter::Counter;
pub(crate) use reading::{Reading, Refusal};
