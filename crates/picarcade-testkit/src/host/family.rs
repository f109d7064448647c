//! The descendants of a process.
//!
//! PostgreSQL runs one process per connection, each in its own session. To stop or kill the server
//! as a failing machine would, all of them must be found.
//!
//! The source is `/proc`. Without it a process seems to have no children, and only the parent is
//! signaled.

use std::collections::HashMap;
use std::fs;

/// Returns every living descendant of `pid`, parents before children.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in entries.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent_in(&stat) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut found = Vec::new();
    let mut queue = vec![pid];
    while let Some(parent) = queue.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            queue.push(child);
        }
    }
    found
}

/// Returns whether `pid` is stopped or can no longer be stopped.
pub(crate) fn has_stopped(pid: u32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
}

/// Returns whether `pid` has released its memory and sockets. It may still wait for its parent to
/// reap it.
pub(crate) fn has_ended(pid: u32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'Z' | 'X'))
}

/// Returns the state letter of `pid`, or `None` without such a process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().next()?.chars().next()
}

/// Returns the fourth field. The second field is the name of the program in parentheses, which may
/// contain spaces and parentheses.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent_in;

    #[test]
    fn the_parent_is_found_behind_an_awkward_name() {
        assert_eq!(parent_in("17 (a) b) S) S 4 17 17 0"), Some(4));
        assert_eq!(parent_in("17 (redis-server) R 1 2 3"), Some(1));
        assert_eq!(parent_in(""), None);
    }
}
