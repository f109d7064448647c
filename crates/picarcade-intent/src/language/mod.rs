//! Everything that depends on a language or a script, as tables.
//!
//! The rules that use the tables are elsewhere: `local` reads words and negations, `injection`
//! finds instructions to this service, and `enhance` finds quotes and ends sentences.
//!
//! A new language is one entry in `languages` and one file `corpus/train-*.txt`. The corpus takes
//! effect when `cargo xtask train` writes a new model. Scripts, quotes and marks change only if the
//! language brings new ones.

mod languages;

pub(crate) mod fold;
pub(crate) mod injections;
pub(crate) mod marks;
pub(crate) mod quotes;
pub(crate) mod scripts;

pub(crate) use languages::{LANGUAGES, Unspaced};
