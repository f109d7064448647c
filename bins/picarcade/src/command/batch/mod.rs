//! `picarcade classify --batch`: answers many requests and writes one row for each, in the same
//! order.

mod input;
mod output;
mod resume;
mod summary;

mod run;

pub(crate) use run::run;
