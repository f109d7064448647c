//! Reports on generations, and what work is charged.

pub(crate) mod report;
pub(crate) mod settle;

pub(crate) mod generations;
pub(crate) mod look_up;

pub(crate) mod charge;
