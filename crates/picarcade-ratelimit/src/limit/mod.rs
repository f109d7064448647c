//! What is limited: the limits of one limiter and the scopes, windows and names that they are made
//! of.

#[expect(clippy::module_inception, reason = "the folder is named after its entry type")]
mod limit;
mod name;
mod plan;
mod scope;
mod window;

pub use limit::{Limit, Unit};
pub use name::Name;
pub(crate) use plan::{Group, Rule};
pub use plan::{MAX_LIMITS, Plan};
pub use scope::{MAX_SUBJECT_BYTES, Scope, Subjects};
pub use window::Window;
pub(crate) use window::{Buckets, Leaky, Shape};
