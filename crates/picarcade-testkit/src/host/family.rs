//! Who descends from a process. PostgreSQL is one process per connection, each in a session of its own: to stop or
//! kill "the server" as a machine that dies would, all of them must be found.
//!
//! Read from `/proc`; where there is none, a process seems to have no children, and only the parent is signalled.

use std::collections::HashMap;
use std::fs;

/// Every living descendant of `pid`, parents before children.
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

/// Whether `pid` has stopped, or cannot any more.
pub(crate) fn has_stopped(pid: u32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
}

/// Whether `pid` holds nothing any more: no memory, no socket. It may still wait for its parent to notice.
pub(crate) fn has_ended(pid: u32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'Z' | 'X'))
}

/// The state letter of `pid`; none when there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().next()?.chars().next()
}

/// The fourth field. The second is the program's name in brackets, which may hold blanks and brackets itself.
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
