//! One limit in the form in which it is counted.

use super::name::Name;
use super::scope::Scope;
use super::unit::Unit;
use super::window::{Shape, Window};

/// A limit that was validated, with the shape of its counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) scope: Scope,
    pub(crate) unit: Unit,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) shape: Shape,
}
