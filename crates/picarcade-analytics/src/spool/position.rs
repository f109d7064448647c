//! Where reading continues, saved across restarts.
//!
//! The file has two lines of fixed length, which are written in turn and in place. The last valid
//! line counts, so a torn line costs one step. A position that needs a new block could not be saved
//! on a full disk, and then no segment could be deleted to make room. If the file is lost or
//! damaged, reading begins at the oldest segment, and the ids of rows that are delivered twice make
//! them harmless.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::segment;
use crate::private_file;

const NAME: &str = "position";
/// The length of a line in bytes: three numbers and a checksum, padded with spaces.
const LINE: usize = 80;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// The file of the position.
#[derive(Debug)]
pub(super) struct Bookmark {
    file: File,
    /// The number of writes. Its parity selects the next line.
    turn: u64,
}

impl Position {
    /// Returns where reading of a segment continues: at the position, or after the header.
    pub(super) fn offset_in(self, number: u64) -> u64 {
        if number == self.segment { self.offset.max(segment::HEADER) } else { segment::HEADER }
    }
}

impl Bookmark {
    /// Opens the file, allocates all space that it will ever need, and returns the position in it.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Position)> {
        let path = directory.join(NAME);
        let mut file =
            private_file::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = [b' '; 2 * LINE];
        let last = match file.read_exact(&mut text) {
            Ok(()) => text.chunks(LINE).filter_map(parse).max_by_key(|(turn, _)| *turn),
            Err(_) => None,
        };
        let (turn, position) = last.unwrap_or_default();
        let mut bookmark = Self { file, turn };
        // Both lines are written, so that the file never grows again.
        bookmark.save(position, false)?;
        bookmark.save(position, false)?;
        Ok((bookmark, position))
    }

    /// Saves the position. With `durably` it also survives a loss of power.
    pub(super) fn save(&mut self, position: Position, durably: bool) -> io::Result<()> {
        let turn = self.turn + 1;
        self.file.seek(SeekFrom::Start((turn % 2) * LINE as u64))?;
        self.file.write_all(line(turn, position).as_bytes())?;
        self.turn = turn;
        if durably { self.file.sync_data() } else { Ok(()) }
    }
}

fn line(turn: u64, position: Position) -> String {
    let numbers = format!("{turn} {} {}", position.segment, position.offset);
    let checked = format!("{numbers} {:08x}", crc32fast::hash(numbers.as_bytes()));
    format!("{checked:<width$}\n", width = LINE - 1)
}

fn parse(line: &[u8]) -> Option<(u64, Position)> {
    let (numbers, checksum) = std::str::from_utf8(line).ok()?.trim_end().rsplit_once(' ')?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(numbers.as_bytes()) {
        return None;
    }
    let mut numbers = numbers.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some((next()?, Position { segment: next()?, offset: next()? }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(directory: &Path) -> Position {
        Bookmark::open(directory).unwrap().1
    }

    #[test]
    fn a_position_survives_and_a_damaged_one_is_the_beginning() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(load(directory.path()), Position::default());
        for turn in 0..5 {
            let position = Position { segment: 7 + turn, offset: u64::MAX - turn };
            let (mut bookmark, _) = Bookmark::open(directory.path()).unwrap();
            bookmark.save(position, true).unwrap();
            assert_eq!(load(directory.path()), position);
        }
        for damaged in ["", "7 123457 00000000\n", "7", "\u{fffd} 1 2 3"] {
            fs::write(directory.path().join(NAME), damaged).unwrap();
            assert_eq!(load(directory.path()), Position::default(), "{damaged:?}");
        }
    }

    #[test]
    fn a_torn_line_costs_one_step_and_the_file_does_not_grow() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(NAME);
        let (mut bookmark, _) = Bookmark::open(directory.path()).unwrap();
        let at = |offset| Position { segment: 3, offset };
        for offset in 1..=4 {
            bookmark.save(at(offset), false).unwrap();
        }
        let mut text = fs::read(&file).unwrap();
        assert_eq!(text.len(), 2 * LINE);
        let last = usize::try_from(bookmark.turn % 2).unwrap() * LINE;
        text[last + 2] ^= 1;
        fs::write(&file, text).unwrap();
        assert_eq!(load(directory.path()), at(3));
    }
}
