//! Checks that cargo does not provide.

pub(crate) mod api;
pub(crate) mod circles;
pub(crate) mod documents;
pub(crate) mod features;
pub(crate) mod house;
pub(crate) mod language;
pub(crate) mod layers;
pub(crate) mod licences;
pub(crate) mod packages;
