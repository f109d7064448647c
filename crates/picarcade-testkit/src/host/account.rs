//! An unprivileged user that runs a server. PostgreSQL refuses to run as root, and containers and
//! build machines run as root.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::error::{Error, Result};

/// A user and its first group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns `None` for an ordinary user. For root, returns the user `postgres` (created by the
    /// Debian package), else `nobody`.
    pub(crate) fn for_postgres() -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Ok(Some(user)) = User::from_name(name) {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        Err(Error::NotInstalled {
            program: "postgres",
            hint: "as root it must run as another user, and there is neither `postgres` nor `nobody`",
        })
    }

    pub(crate) fn uid(self) -> u32 {
        self.uid
    }

    pub(crate) fn gid(self) -> u32 {
        self.gid
    }

    /// Makes `command` run as this user, without the supplementary groups of the current user.
    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}
