//! `picarcade examples`: labeled prompts of the operator.

mod check;
mod export;

pub(crate) use check::check;
pub(crate) use export::export;
