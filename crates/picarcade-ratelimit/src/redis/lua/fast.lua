-- The way of nearly every request, put before all else of the acquire script: it asks for no dollars, no bucket ends, and every
-- limit has room. One comparison for each scope, whatever the number of its limits; the rest of the script is not run.
--
-- A state begins with four doubles: until when this holds, a number made of its limits, how many requests still fit into
-- all of its limits as they stood when the state was written, and how many were admitted since. The last is all that is
-- written here, in place, so that the key keeps its time to live.
--
-- ARGV[1]: doubles: time (0: ours), requests, then for each scope the number made of its limits. Empty: not this way.
-- Answers doubles: 4, time; then the states as they were before.
local now, keep

if ARGV[1] ~= '' then
  local n = #ARGV[1] / 8 - 2
  local asked = { struct.unpack('<' .. string.rep('d', n + 2), ARGV[1]) }
  now = asked[1]
  if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  local requests = asked[2]
  local raw, sums = redis.call('MGET', unpack(KEYS, 1, n)), {}
  for i = 1, n do
    local state = raw[i]
    if not state then break end
    local till, limits, room, sum = struct.unpack('<dddd', state)
    sum = sum + requests
    if now >= till or sum > room or limits ~= asked[i + 2] then break end
    sums[i] = struct.pack('<d', sum)
  end
  if #sums == n then
    for i = 1, n do redis.call('SETRANGE', KEYS[i], 24, sums[i]) end
    return struct.pack('<dd', 4, now) .. table.concat(raw)
  end
end
