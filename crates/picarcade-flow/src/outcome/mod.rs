//! Reports and feedback on generations, and what work is charged.

pub(crate) mod feedback;
pub(crate) mod report;
pub(crate) mod settle;

pub(crate) mod generations;
pub(crate) mod look_up;

pub(crate) mod charge;
