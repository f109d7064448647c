//! PicArcade.
fn main() {}
