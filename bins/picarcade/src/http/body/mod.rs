//! Request bodies: JSON, bounded in size and in time. Problems name the wrong fields.
//!
//! A text that does not follow the grammar of JSON is malformed (400). Every other text is
//! well-formed. A number out of range, half a surrogate pair or deep nesting is a wrong field (422)
//! if the field is read, and is ignored otherwise.
//!
//! A compressed body is refused and never unpacked, so a small body on the wire cannot become a
//! large one in memory. All arriving bodies share one budget of memory; if it is used up, the
//! server refuses a body.

mod parse;
mod read;
mod request;

pub(crate) use parse::{WithUser, malformed, parse_as, parse_with_user};
pub(crate) use read::{MAX_BODY, Share, read, read_with_share};
pub(crate) use request::{parse_request, parse_request_text};
