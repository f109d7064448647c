//! The file of the disk level: four tables of an embedded database.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `entries` | the name of a key | a record with its checksum |
//! | `order` | the number of the write | the size, the stamps and the name of the record |
//! | `versions` | the name of a scope | its version with a checksum |
//! | `totals` | a word | the layout, the bytes, the records and the next number |
//!
//! Every call blocks. A change is durable when [`Store::apply`] returns, and a crash leaves all
//! changes of a call or none.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, backends::FileBackend};

use super::{
    error::Fault,
    record::{Name, Placed, Stored, StoredVersion},
};
use crate::level2::remote::KeyVersion;

const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entries");
const ORDER: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("order");
const VERSIONS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("versions");
const TOTALS: TableDefinition<'static, &str, u64> = TableDefinition::new("totals");

/// The number of this layout. A file with another number is replaced.
const LAYOUT: u64 = 1;

/// The memory for pages. Most reads are first reads after a start, which no cache of pages helps.
const PAGE_CACHE_BYTES: usize = 8 << 20;

/// What a record counts as beyond its page: its row in the order of writes, and its share of the
/// inner pages.
const OVERHEAD_BYTES: u64 = 256;

/// The size of a page. A larger record has a page of the next power of two.
const PAGE_BYTES: u64 = 4096;

/// How long a record with a version is protected from eviction by other writes. No load takes
/// longer.
const PROTECTED_MS: u64 = 3_600_000;

/// How many rows one sweep visits, so that a sweep delays writes by milliseconds only.
const SWEEP_ROWS: usize = 4096;

/// One change of the store.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Stores an entry if the version of the key is `seen`.
    Write { name: Name, entry: Bytes, expires_ms: u64, seen: KeyVersion },
    /// Stores an entry, or a tombstone, under a new version.
    Put { name: Name, entry: Option<Bytes>, expires_ms: u64, version: KeyVersion },
    /// Stores the version of a scope.
    Version { name: Name, version: StoredVersion },
}

/// The amounts of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) evicted: u64,
    next: u64,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    /// The limit of the counted bytes.
    budget: u64,
}

impl Store {
    /// Opens the file, or creates it. An existing file is verified page by page.
    pub(super) fn open(path: &Path, max_bytes: u64) -> Result<Self, Fault> {
        let file = open_private(path).map_err(redb::StorageError::Io)?;
        let database = Database::builder()
            .set_cache_size(PAGE_CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(FileBackend::new(file)?)?;
        // The rest is for the pages that a commit replaces, which are free after it.
        let store = Self { database, budget: max_bytes / 4 * 3 };
        let transaction = store.database.begin_write()?;
        {
            let mut totals = transaction.open_table(TOTALS)?;
            let layout = totals.get("layout")?.map(|layout| layout.value());
            if layout.is_some_and(|layout| layout != LAYOUT) {
                return Err(Fault::Damaged);
            }
            totals.insert("layout", LAYOUT)?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(ORDER)?;
            transaction.open_table(VERSIONS)?;
        }
        transaction.commit()?;
        Ok(store)
    }

    /// Removes the file.
    pub(super) fn delete(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the record of a key, unless it has expired.
    pub(super) fn read(&self, name: &[u8], now_ms: u64) -> Result<Option<Stored>, Fault> {
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        let Some(bytes) = entries.get(name)? else { return Ok(None) };
        let stored = Stored::decode(name, bytes.value()).ok_or(Fault::Damaged)?;
        Ok(Some(stored).filter(|stored| now_ms < stored.expires_ms))
    }

    /// Returns the versions of all scopes.
    pub(super) fn versions(&self) -> Result<Vec<(Name, StoredVersion)>, Fault> {
        let table = self.database.begin_read()?.open_table(VERSIONS)?;
        let mut versions = Vec::new();
        for row in table.iter()? {
            let (name, bytes) = row?;
            let version = StoredVersion::decode(name.value(), bytes.value()).ok_or(Fault::Damaged)?;
            versions.push((name.value().to_vec(), version));
        }
        Ok(versions)
    }

    /// Returns the amounts.
    pub(super) fn totals(&self) -> Result<Totals, Fault> {
        let table = self.database.begin_read()?.open_table(TOTALS)?;
        Totals::read(&table)
    }

    /// Makes changes in order, all or none, and returns for each whether it was made.
    pub(super) fn apply(&self, changes: Vec<Change>, now_ms: u64) -> Result<(Vec<bool>, Totals), Fault> {
        self.change(|tables| {
            changes.into_iter().map(|change| tables.apply(change, self.budget, now_ms)).collect()
        })
    }

    /// Removes expired records among the next rows from `cursor`. Returns the next cursor, or zero
    /// at the end.
    pub(super) fn sweep(&self, cursor: u64, now_ms: u64) -> Result<(u64, Totals), Fault> {
        let mut expired = Vec::new();
        let mut next = 0;
        {
            let order = self.database.begin_read()?.open_table(ORDER)?;
            for row in order.range(cursor..)?.take(SWEEP_ROWS) {
                let (sequence, bytes) = row?;
                let placed = Placed::decode(bytes.value()).ok_or(Fault::Damaged)?;
                next = sequence.value() + 1;
                if placed.expires_ms <= now_ms {
                    expired.push((sequence.value(), placed));
                }
            }
            if order.range(next..)?.next().is_none() {
                next = 0;
            }
        }
        if expired.is_empty() {
            return Ok((next, self.totals()?));
        }
        let ((), totals) = self.change(|tables| {
            for (sequence, placed) in &expired {
                tables.drop_row(*sequence, placed)?;
            }
            Ok(())
        })?;
        Ok((next, totals))
    }

    fn change<T>(&self, run: impl FnOnce(&mut Tables<'_>) -> Result<T, Fault>) -> Result<(T, Totals), Fault> {
        let transaction = self.database.begin_write()?;
        let (result, totals) = {
            let mut totals_table = transaction.open_table(TOTALS)?;
            let mut tables = Tables {
                entries: transaction.open_table(ENTRIES)?,
                order: transaction.open_table(ORDER)?,
                versions: transaction.open_table(VERSIONS)?,
                totals: Totals::read(&totals_table)?,
            };
            let result = run(&mut tables)?;
            let totals = tables.totals;
            totals_table.insert("bytes", totals.bytes)?;
            totals_table.insert("records", totals.records)?;
            totals_table.insert("next", totals.next)?;
            (result, totals)
        };
        transaction.commit()?;
        Ok((result, totals))
    }
}

impl Totals {
    fn read(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, Fault> {
        let get = |word| -> Result<u64, Fault> { Ok(table.get(word)?.map_or(0, |amount| amount.value())) };
        Ok(Self { bytes: get("bytes")?, records: get("records")?, next: get("next")?, evicted: 0 })
    }
}

/// The tables within one transaction.
struct Tables<'t> {
    entries: Table<'t, &'static [u8], &'static [u8]>,
    order: Table<'t, u64, &'static [u8]>,
    versions: Table<'t, &'static [u8], &'static [u8]>,
    totals: Totals,
}

impl Tables<'_> {
    fn apply(&mut self, change: Change, budget: u64, now_ms: u64) -> Result<bool, Fault> {
        match change {
            Change::Write { name, entry, expires_ms, seen } => {
                let current = self.current(&name)?;
                if let Some(current) = current.filter(|current| now_ms < current.expires_ms)
                    && current.version != seen
                {
                    return Ok(false);
                }
                let size = size_of_record(&name, Some(&entry));
                if !self.make_room(size, budget, now_ms)? {
                    return Ok(false);
                }
                self.put(&name, Some(entry), expires_ms, seen, now_ms)?;
                Ok(true)
            }
            Change::Put { name, entry, expires_ms, version } => {
                let size = size_of_record(&name, entry.as_ref());
                // A removal must not fail, so it may evict what other writes may not.
                self.make_room(size, budget, u64::MAX)?;
                self.put(&name, entry, expires_ms, version, now_ms)?;
                Ok(true)
            }
            Change::Version { name, version } => {
                self.versions.insert(&name[..], &version.encode(&name)[..])?;
                Ok(true)
            }
        }
    }

    fn current(&self, name: &[u8]) -> Result<Option<Stored>, Fault> {
        let Some(bytes) = self.entries.get(name)? else { return Ok(None) };
        Stored::decode(name, bytes.value()).ok_or(Fault::Damaged).map(Some)
    }

    /// Evicts the records that were written first until `size` more bytes fit. Returns false if a
    /// protected record is in the way.
    fn make_room(&mut self, size: u64, budget: u64, now_ms: u64) -> Result<bool, Fault> {
        if size > budget {
            return Ok(false);
        }
        while self.totals.bytes.saturating_add(size) > budget {
            let Some(oldest) = self.order.first()? else { return Ok(true) };
            let sequence = oldest.0.value();
            let placed = Placed::decode(oldest.1.value()).ok_or(Fault::Damaged)?;
            drop(oldest);
            if now_ms < placed.protected_until_ms {
                return Ok(false);
            }
            self.drop_row(sequence, &placed)?;
            self.totals.evicted += 1;
        }
        Ok(true)
    }

    /// Removes the record that the row of the order stands for.
    fn drop_row(&mut self, sequence: u64, placed: &Placed) -> Result<(), Fault> {
        // The key may have been written again since the row was read.
        if self.order.remove(sequence)?.is_none() {
            return Ok(());
        }
        self.entries.remove(&placed.name[..])?;
        self.subtract(placed.size);
        Ok(())
    }

    fn put(
        &mut self,
        name: &[u8],
        entry: Option<Bytes>,
        expires_ms: u64,
        version: KeyVersion,
        now_ms: u64,
    ) -> Result<(), Fault> {
        if let Some(old) = self.current(name)? {
            let size =
                self.order.remove(old.sequence)?.and_then(|row| Some(Placed::decode(row.value())?.size));
            self.subtract(size.ok_or(Fault::Damaged)?);
        }
        let sequence = self.totals.next;
        let size = size_of_record(name, entry.as_ref());
        let protected_until_ms = match version {
            KeyVersion::NONE => 0,
            _ => expires_ms.min(now_ms.saturating_add(PROTECTED_MS)),
        };
        let placed = Placed { size, expires_ms, protected_until_ms, name: name.to_vec() };
        let stored = Stored { version, expires_ms, sequence, entry };
        self.entries.insert(name, &stored.encode(name)[..])?;
        self.order.insert(sequence, &placed.encode()[..])?;
        self.totals.next += 1;
        self.totals.records += 1;
        self.totals.bytes += size;
        Ok(())
    }

    fn subtract(&mut self, size: u64) {
        self.totals.bytes = self.totals.bytes.saturating_sub(size);
        self.totals.records = self.totals.records.saturating_sub(1);
    }
}

/// Returns how many bytes of the file a record takes, with its share of pages that are not full.
fn size_of_record(name: &[u8], entry: Option<&Bytes>) -> u64 {
    let bytes = (2 * name.len() + entry.map_or(0, Bytes::len)) as u64;
    // Half-filled pages remain of small records. A record of more than half a page has its own.
    let pages =
        if bytes < PAGE_BYTES / 2 { bytes / 2 * 3 } else { bytes.next_power_of_two().max(PAGE_BYTES) };
    pages + OVERHEAD_BYTES
}

/// Opens or creates a file that only its owner can read.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a directory that only its owner can enter, and those above it.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::{Change, Store, Totals};
    use crate::level2::remote::KeyVersion;

    fn write(number: u64, expires_ms: u64) -> Change {
        let name = number.to_le_bytes().to_vec();
        Change::Write { name, entry: "entry".into(), expires_ms, seen: KeyVersion::NONE }
    }

    #[test]
    fn a_sweep_removes_the_expired_records_and_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("file"), 16 << 20).unwrap();
        let changes = (0..10).map(|number| write(number, 100 + number)).collect();
        let (made, before) = store.apply(changes, 0).unwrap();
        assert!(made.iter().all(|made| *made));
        let (cursor, after) = store.sweep(0, 105).unwrap();
        assert_eq!((cursor, after.records, after.bytes), (0, 4, before.bytes / 10 * 4));
        assert!(store.read(&5_u64.to_le_bytes(), 0).unwrap().is_none());
        assert!(store.read(&6_u64.to_le_bytes(), 0).unwrap().is_some());
        assert!(store.read(&6_u64.to_le_bytes(), 106).unwrap().is_none(), "expired and not swept");
    }

    #[test]
    fn a_record_that_is_written_again_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("file"), 16 << 20).unwrap();
        let (_, once) = store.apply(vec![write(1, 100)], 0).unwrap();
        let (_, twice) = store.apply(vec![write(1, 100), write(1, 200)], 0).unwrap();
        assert_eq!((once.records, once.bytes), (twice.records, twice.bytes));
        let (_, swept) = store.sweep(0, 150).unwrap();
        assert_eq!(swept.records, 1, "the later write decides when it expires");
        let (_, swept) = store.sweep(0, 250).unwrap();
        assert_eq!((swept.records, swept.bytes), (Totals::default().records, 0));
    }
}
