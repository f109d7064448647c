//! The classes of errors that both databases share.

use crate::Error;

/// Converts an error of the driver. If it is an answer of the database, `class` selects the class
/// by its code.
pub(crate) fn convert_error(
    error: sqlx::Error,
    class: impl FnOnce(&dyn sqlx::error::DatabaseError) -> fn(String, sqlx::Error) -> Error,
) -> Error {
    match &error {
        sqlx::Error::Database(answer) => {
            let code = answer.code().unwrap_or_default().into_owned();
            let make = class(answer.as_ref());
            make(code, error)
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Protocol(_) => Error::Unavailable { source: error.into() },
        sqlx::Error::Encode(_) => Error::Rejected { code: "encode".to_owned(), source: error.into() },
        sqlx::Error::Configuration(_) => Error::Config(error.to_string()),
        _ => Error::Statement { source: error.into() },
    }
}

pub(crate) fn unavailable(_code: String, error: sqlx::Error) -> Error {
    Error::Unavailable { source: error.into() }
}

pub(crate) fn rejected(code: String, error: sqlx::Error) -> Error {
    Error::Rejected { code, source: error.into() }
}

#[cfg(feature = "postgres")]
pub(crate) fn refused(code: String, error: sqlx::Error) -> Error {
    Error::Refused { code, source: error.into() }
}

pub(crate) fn statement(_code: String, error: sqlx::Error) -> Error {
    Error::Statement { source: error.into() }
}
