//! PicArcade analytics.
