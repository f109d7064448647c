//! PicArcade flow.
