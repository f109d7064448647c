//! Connections of any type that a user passes in.
//!
//! redis-rs has several kinds of connections, and users wrap them in their own. All of them are
//! handles that share a socket when cloned. This trait clones one per command, as the traits of the
//! library require.

use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};

/// A connection of any type, shared by all its handles.
pub(super) trait AnyConnection: Send + Sync {
    /// Returns a handle of the connection.
    fn boxed(&self) -> Boxed;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> AnyConnection for C {
    fn boxed(&self) -> Boxed {
        Boxed(Box::new(self.clone()))
    }
}

/// A handle of a connection of any type.
pub(super) struct Boxed(pub(super) Box<dyn ConnectionLike + Send>);

impl ConnectionLike for Boxed {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
