-- Detects whether the counters of this server can have missed charges.
--
-- The epoch of a server changes when its counters may be older than what was spent: when another
-- process serves the keys (a restart from a snapshot, a promoted replica), when the process has
-- loaded other data (a primary that was a replica for a while, DEBUG RELOAD), and when a client
-- reports that it spent elsewhere meanwhile (fail-back). Each state that counts dollars has the
-- stamp of its last comparison with the cost ledger. A stamp of another epoch requires a new
-- comparison before a dollar is reserved.
--
-- The key holds the start of the epoch (seven bytes, a multiple of 4), the server's run id, and how
-- many keys the server loaded last. A stamp is that start plus the phase (0, 1 or 2) in which the
-- ledger was read. A ledger lags behind: expenses wait in the queues of other instances, and calls
-- are still in flight. Every state is therefore compared again when the epoch is 2 seconds old, and
-- again when it is a minute old.
--
-- INFO takes 6 microseconds of the server, and only a call that reserves dollars needs it. A server
-- that forbids it has an empty identity. Then each new connection of a client begins an epoch.
local EPOCH_LIFE = '259200000'

local function identity()
  local server, data = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'persistence')
  local run = type(server) == 'string' and string.match(server, 'run_id:(%x+)')
  if not run then return '' end
  local loaded = type(data) == 'string' and string.match(data, 'rdb_last_load_keys_loaded:(%d+)')
  return run .. ':' .. (loaded or '')
end

-- Returns the start and the phase of the epoch. Begins a new one if the identity changed,
-- or if a client reports that the server `missed` expenses.
local function epoch(key, missed)
  local served, raw = identity(), redis.call('GET', key)
  local start, known
  if raw and #raw >= 7 then start, known = struct.unpack('<I7', raw), string.sub(raw, 8) end
  if known ~= served or missed == 2 or (missed == 1 and served == '') then
    -- Later than the last epoch, even if the clock stepped back.
    start = math.max(now, (start or 0) + 4)
    start = start - start % 4
    redis.call('SET', key, struct.pack('<I7', start) .. served, 'PX', EPOCH_LIFE)
  end
  local age = now - start
  return start, age >= 60000000 and 2 or age >= 2000000 and 1 or 0
end
