-- Checks every limit, then charges every limit: all or none. The order is validate, read, check, write; after the first
-- write nothing can fail.
--
-- KEYS: the deadlines, n states, [the reservation's record, [the epoch, given with a ledger]]
-- ARGV: what fast.lua wants, n packed descriptors, [doubles: cost, dry, most reservations, ledger]
-- Answers doubles: status (0 admitted, 1 denied, 2 to be seeded first, 3 too many reservations),
-- time, then for each rule used, reserved, reset, refusal; with status 2 only the bits of the
-- scopes to be compared with the ledger, and the stamp for it.
clock(now)
local descs = described({ cmsgpack.unpack(ARGV[2]) }, { a1, a2, a3, a4 })
local cost, dry, most, ledger = 0, 0, 0, 0
if ARGV[3] then cost, dry, most, ledger = struct.unpack('<dddd', ARGV[3]) end
dry = dry == 1
local ask, n = { requests, cost }, #descs
local deadlines, record = KEYS[1], KEYS[n + 2]
local held = cost > 0 and 2 or 1
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
  local start, phase = epoch(KEYS[n + 3], 0)
  local bits = 0
  for i, s in ipairs(scopes) do
    local stamp = s.t[1]
    if counts_dollars(s) and (stamp < start + phase or stamp > start + 3) then bits = bits + 2 ^ (i - 1) end
  end
  if bits > 0 then return struct.pack('<dddd', 2, now, bits, start + phase) end
end

local status, refusals = weigh(scopes, (dry or replay) and { 0, 0 } or ask)

if status == 0 and not dry and not replay then
  if record and redis.call('ZCARD', deadlines) >= most then return struct.pack('<dd', 3, now) end
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
    local rec = { ask[held], deadline, deadline + keep * 1000, 0, 0, parts, held }
    redis.call('SET', record, cmsgpack.pack(rec), 'PX', 2 * keep)
  end
end

return struct.pack('<dd', status, now) .. readings(scopes, refusals)
