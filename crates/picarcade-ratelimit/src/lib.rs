//! PicArcade ratelimit.
