//! Reports on generations, and what work is charged.

pub(crate) mod charge;
pub(crate) mod generations;
pub(crate) mod report;
pub(crate) mod settle;
