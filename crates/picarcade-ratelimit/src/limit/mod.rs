//! What is limited: the limits of one limiter, and the scopes, units, windows and names that they
//! consist of.

#[expect(clippy::module_inception, reason = "the folder is named after its entry type")]
mod limit;
mod name;
mod parse;
mod plan;
mod scope;
mod text;
mod window;

pub(crate) use limit::Rule;
pub use limit::{Limit, Unit};
pub use name::Name;
pub use parse::ParseError;
pub(crate) use plan::Group;
pub use plan::Plan;
pub(crate) use scope::PerScope;
pub use scope::{MAX_SUBJECT_BYTES, Scope, Subjects};
pub use window::Window;
pub(crate) use window::{Buckets, Leaky, Shape};
