//! `picarcade classify --batch`: answers many requests and writes one row for each, in the same
//! order.

mod input;
mod output;
mod run;

pub(crate) use run::run;
