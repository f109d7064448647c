//! PicArcade testkit.
