//! PicArcade redis.
