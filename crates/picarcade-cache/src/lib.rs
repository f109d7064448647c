//! PicArcade cache.
