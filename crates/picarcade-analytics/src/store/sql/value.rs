//! Values as both databases store them.

use crate::Error;

/// Converts money to the type of the databases.
pub(crate) fn money(micros: u64) -> Result<i64, Error> {
    i64::try_from(micros).map_err(|_| unfit("an amount of money is out of range"))
}

/// Returns the error for a value that does not fit its column.
pub(crate) fn unfit(why: &'static str) -> Error {
    Error::Rejected { code: "encode".to_owned(), source: why.into() }
}

/// Converts a count from the database.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
