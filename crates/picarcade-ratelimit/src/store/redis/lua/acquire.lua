-- Checks every limit, then charges all of them or none. The order is validate, read, check, write.
-- After the first write nothing can fail.
--
-- KEYS: the deadlines, n states, [the record of the reservation, [the epoch, given with a ledger]]
-- ARGV: the arguments of fast.lua, n packed descriptors, and for a request that fast.lua does not
--   decide, doubles: cost, whether nothing is charged, most reservations, whether there is a ledger
-- Returns doubles: status, time, and for each rule used, reserved, reset and refusal. With status
--   $COMPARE: the bits of the scopes to be compared with the ledger, and the stamp for it.
clock(now)
local descs = described({ cmsgpack.unpack(ARGV[2]) }, { hash1, hash2, hash3, hash4 })
local cost, dry, most, ledger = 0, 0, 0, 0
if ARGV[3] then cost, dry, most, ledger = struct.unpack('<dddd', ARGV[3]) end
dry = dry == 1
local ask, n = { requests, cost }, #descs
local deadlines, record, epoch_key = KEYS[1], KEYS[n + 2], KEYS[n + 3]
local held = cost > 0 and $UNIT_COST or $UNIT_REQUESTS
local replay = record and redis.call('EXISTS', record) == 1

local scopes, outstanding
local function read()
  scopes, outstanding = {}, false
  if n == 0 then return end
  local raw = redis.call('MGET', unpack(KEYS, 2, n + 1))
  for i = 1, n do
    local s = open(KEYS[i + 1], descs[i], raw[i])
    if reserves(s) then outstanding = true end
    scopes[i] = s
  end
end
read()
if outstanding and expire(deadlines) then read() end

if cost > 0 and ledger == 1 and not replay then
  local start, phase = epoch(epoch_key, 0)
  local bits = 0
  for i, s in ipairs(scopes) do
    local stamp = s.t[$STAMP]
    if counts_dollars(s) and (stamp < start + phase or stamp > start + 3) then bits = bits + 2 ^ (i - 1) end
  end
  if bits > 0 then return struct.pack('<dddd', $COMPARE, now, bits, start + phase) end
end

local status, refusals = weigh(scopes, (dry or replay) and { 0, 0 } or ask)

if status == $ADMITTED and not dry and not replay then
  if record and redis.call('ZCARD', deadlines) >= most then return struct.pack('<dd', $TOO_MANY, now) end
  local parts, deadline = {}, now + keep * 1000
  if record then
    redis.call('ZADD', deadlines, deadline, record)
    redis.call('PEXPIRE', deadlines, 4 * keep)
    earliest = nil
  end
  for _, s in ipairs(scopes) do
    local touched, starts = take(s, ask, record and held)
    if touched then save(s, deadlines) end
    if #starts > 0 then parts[#parts + 1] = { s.hot, s.desc, starts } end
  end
  if record then
    local rec = { ask[held], deadline, deadline + keep * 1000, $UNKNOWN, 0, parts, held }
    redis.call('SET', record, cmsgpack.pack(rec), 'PX', 2 * keep)
  end
end

return struct.pack('<dd', status, now) .. readings(scopes, refusals)
