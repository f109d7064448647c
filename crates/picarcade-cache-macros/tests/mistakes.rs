//! Mistakes in the use of `#[cached]` are compile errors that point at their place.
#![allow(missing_docs)]

/// Each file of `tests/mistakes` has mistakes, and its `.stderr` the messages of the compiler.
/// `TRYBUILD=overwrite cargo test -p picarcade-cache-macros` writes them after a change.
#[test]
fn mistakes_are_compile_errors_that_point_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
