//! PicArcade intent.
