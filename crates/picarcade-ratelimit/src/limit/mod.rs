//! What is limited: the limits of one limiter, and the scopes, units, windows and names that they
//! consist of.

#[expect(clippy::module_inception, reason = "the folder is named after its entry type")]
mod limit;
mod name;
mod scope;
mod unit;
mod window;

mod plan;

mod group;
mod per_scope;
mod rule;

pub(crate) use group::Group;
pub use limit::Limit;
pub use name::Name;
pub(crate) use per_scope::PerScope;
pub use plan::{MAX_LIMITS, Plan};
pub(crate) use rule::Rule;
pub use scope::{MAX_SUBJECT_BYTES, Scope, Subjects};
pub use unit::Unit;
pub use window::Window;
pub(crate) use window::{Buckets, Leaky, Shape};
