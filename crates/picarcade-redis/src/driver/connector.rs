//! Creates new [`Driver`]s as connections break.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Driver, Error};

/// Creates connections to one endpoint. The handle calls it, under its own deadline, at the start
/// and whenever a connection must be replaced.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// Connects, authenticates, and resolves masters or slots again.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Refused`], [`Error::Auth`], [`Error::Tls`] or [`Error::Protocol`], by
    /// cause.
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error>;
}

/// A connection that the user created, and whose client reconnects by itself.
#[derive(Debug)]
pub(crate) struct FixedDriver(pub(crate) Arc<dyn Driver>);

#[async_trait]
impl Connector for FixedDriver {
    async fn connect(&self) -> Result<Arc<dyn Driver>, Error> {
        Ok(Arc::clone(&self.0))
    }
}
