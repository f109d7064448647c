//! PicArcade breaker.
