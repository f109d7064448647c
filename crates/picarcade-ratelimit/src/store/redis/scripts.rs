//! The scripts: one round trip each, whatever the number of scopes and windows.

use picarcade_redis::Script;

/// The scripts of the store.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) acquire: Script,
    pub(super) batch: Script,
    pub(super) settle: Script,
    pub(super) seed: Script,
    pub(super) arrive: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            acquire: Script::new(
                "ratelimit.acquire",
                concat!(
                    include_str!("lua/fast.lua"),
                    include_str!("lua/counters.lua"),
                    include_str!("lua/epoch.lua"),
                    include_str!("lua/acquire.lua")
                ),
            ),
            batch: Script::new(
                "ratelimit.batch",
                concat!("local now, keep\n", include_str!("lua/counters.lua"), include_str!("lua/batch.lua")),
            ),
            settle: Script::new(
                "ratelimit.settle",
                concat!(
                    "local now, keep\n",
                    include_str!("lua/counters.lua"),
                    include_str!("lua/settle.lua")
                ),
            ),
            seed: Script::new(
                "ratelimit.seed",
                concat!(
                    "local now, keep\n",
                    include_str!("lua/counters.lua"),
                    include_str!("lua/epoch.lua"),
                    include_str!("lua/seed.lua")
                ),
            ),
            arrive: Script::new(
                "ratelimit.arrive",
                concat!(
                    "local now, keep\n",
                    include_str!("lua/counters.lua"),
                    include_str!("lua/epoch.lua"),
                    include_str!("lua/arrive.lua")
                ),
            ),
        }
    }
}
