//! Where reading goes on, kept across restarts.
//!
//! The file is replaced by a rename, so that it is the old one or the new one and never half of each. It may be lost or
//! damaged: reading then begins at the oldest segment, and the rows that are delivered twice are recognised by their ids.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::segment;

const NAME: &str = "position";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Position {
    pub(super) fn load(directory: &Path) -> Self {
        fs::read_to_string(directory.join(NAME)).ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let (position, checksum) = text.trim_end().rsplit_once(' ')?;
        let (segment, offset) = position.split_once(' ')?;
        let sound = u32::from_str_radix(checksum, 16).ok()? == crc32fast::hash(position.as_bytes());
        sound.then_some(Self { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
    }

    /// Saves the position; with `durably`, so that it survives a loss of power.
    pub(super) fn save(self, directory: &Path, durably: bool) -> io::Result<()> {
        let position = format!("{} {}", self.segment, self.offset);
        let checksum = crc32fast::hash(position.as_bytes());
        let temporary = directory.join("position.new");
        let mut file = File::create(&temporary)?;
        file.write_all(format!("{position} {checksum:08x}\n").as_bytes())?;
        if durably {
            file.sync_data()?;
        }
        fs::rename(temporary, directory.join(NAME))?;
        if durably {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Where reading begins in a segment: behind what was read of it, or behind its header.
    pub(super) fn offset_in(self, number: u64) -> u64 {
        if number == self.segment { self.offset.max(segment::HEADER) } else { segment::HEADER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_and_a_damaged_one_is_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let position = Position { segment: 7, offset: 123_456 };
        position.save(directory.path(), true).unwrap();
        assert_eq!(Position::load(directory.path()), position);
        for damaged in ["", "7 123457 00000000\n", "7", "\u{fffd} 1 2 3"] {
            fs::write(directory.path().join(NAME), damaged).unwrap();
            assert_eq!(Position::load(directory.path()), Position::default(), "{damaged:?}");
        }
    }
}
