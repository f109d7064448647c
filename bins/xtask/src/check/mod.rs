//! The checks that cargo does not have.

pub(crate) mod documents;
pub(crate) mod features;
pub(crate) mod house;
pub(crate) mod layers;
pub(crate) mod licences;
