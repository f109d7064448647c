//! The segments of a spool and where reading continues in them.

use std::collections::BTreeMap;
use std::fs::File;

use super::position::{Bookmark, Position};
use super::segment::Segment;

#[derive(Debug)]
pub(super) struct Log {
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) tail: Option<Tail>,
    pub(super) next: u64,
    pub(super) position: Position,
    pub(super) bookmark: Bookmark,
    /// Whether the position is newer than the saved one.
    pub(super) unsaved: bool,
    /// Segments of earlier processes that are not counted yet.
    pub(super) inherited: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Tail {
    pub(super) number: u64,
    pub(super) file: File,
}

impl Log {
    pub(super) fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail.as_ref().and_then(|tail| self.segments.get(&tail.number)).map_or(0, |segment| segment.bytes)
    }
}
