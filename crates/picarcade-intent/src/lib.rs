//! PicArcade intent.

mod error;
mod facts;
mod goal;

pub use error::UnknownWord;
pub use facts::Facts;
pub use goal::Goal;
