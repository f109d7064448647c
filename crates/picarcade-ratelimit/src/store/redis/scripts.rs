//! The scripts: one round trip each, for any number of scopes and windows.
//!
//! A script names the numbers of [`layout`](super::layout) with a dollar sign, such as `$TOTAL`,
//! and `$EACH` writes out a piece of it for each scope. Both are replaced before the script is
//! sent, so they cost nothing in Redis.

use std::sync::LazyLock;

use picarcade_redis::Script;

use super::layout;
use crate::Scope;

/// The scripts of all stores.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(Scripts::new);

/// The variables that `lua/counters.lua` sets. In the acquire script `lua/fast.lua` declares them.
const DECLARATIONS: &str = "local now, keep\n";
const FAST: &str = include_str!("lua/fast.lua");
const COUNTERS: &str = include_str!("lua/counters.lua");
const EPOCH: &str = include_str!("lua/epoch.lua");

/// The scripts of a store.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) acquire: Script,
    pub(super) batch: Script,
    pub(super) settle: Script,
    pub(super) seed: Script,
    pub(super) arrive: Script,
}

impl Scripts {
    fn new() -> Self {
        let acquire = [FAST, COUNTERS, EPOCH, include_str!("lua/acquire.lua")];
        let batch = [DECLARATIONS, COUNTERS, include_str!("lua/batch.lua")];
        let settle = [DECLARATIONS, COUNTERS, include_str!("lua/settle.lua")];
        let seed = [DECLARATIONS, COUNTERS, EPOCH, include_str!("lua/seed.lua")];
        let arrive = [DECLARATIONS, COUNTERS, EPOCH, include_str!("lua/arrive.lua")];
        Self {
            acquire: script("ratelimit.acquire", &acquire),
            batch: script("ratelimit.batch", &batch),
            settle: script("ratelimit.settle", &settle),
            seed: script("ratelimit.seed", &seed),
            arrive: script("ratelimit.arrive", &arrive),
        }
    }
}

fn script(name: &'static str, parts: &[&str]) -> Script {
    Script::new(name, substituted(&for_each_scope(&parts.concat())).leak())
}

/// Replaces every `$EACH{SEPARATOR|TEXT}` by TEXT once for each scope, with the number of the
/// scope, from 1, in place of `@`.
fn for_each_scope(source: &str) -> String {
    let mut pieces = source.split("$EACH{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (each, rest) = piece.split_once('}').unwrap_or((piece, ""));
        let (separator, each) = each.split_once('|').unwrap_or(("", each));
        let scopes: Vec<String> =
            (1..=Scope::COUNT).map(|number| each.replace('@', &number.to_string())).collect();
        text.push_str(&scopes.join(separator));
        text.push_str(rest);
    }
    text
}

/// Replaces every `$NAME` by its value. An unknown name stays, which a test rules out.
fn substituted(source: &str) -> String {
    let mut pieces = source.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        match layout::value(name) {
            Some(value) => text.push_str(&value),
            None => text.extend(["$", name]),
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_scripts_has_a_value() {
        let Scripts { acquire, batch, settle, seed, arrive } = &*SCRIPTS;
        for script in [acquire, batch, settle, seed, arrive] {
            let unknown = script.source().lines().find(|line| line.contains('$'));
            assert_eq!(unknown, None, "{}", script.name());
        }
    }

    #[test]
    fn a_piece_is_repeated_for_each_scope() {
        let text = for_each_scope("local $EACH{, |s@}; return $EACH{ .. |(k@ or s@)}");
        assert_eq!(text, "local s1, s2, s3, s4; return (k1 or s1) .. (k2 or s2) .. (k3 or s3) .. (k4 or s4)");
    }

    #[test]
    fn a_name_ends_at_the_first_character_that_is_not_part_of_one() {
        assert_eq!(substituted("t[o + $TOTAL] = $RULE*r .. '$NOTHING'"), "t[o + 3] = 6*r .. '$NOTHING'");
    }
}
