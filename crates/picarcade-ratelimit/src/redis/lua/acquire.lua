-- Checks every limit, then charges every limit: all or none. The order is validate, read, check, write; after the first
-- write nothing can fail.
--
-- KEYS: n states, the deadlines, [the reservation's record]
-- ARGV: what fast.lua wants, eight doubles (time, 0: ours; requests; cost; n; dry; reservation's life in ms; most
--   reservations; ledger), n packed descriptors
-- Answers doubles: status (0 admitted, 1 denied, 2 to be seeded first, 3 too many reservations), time, then for each rule
-- used, reserved, reset, refusal; with status 2 only the bits of the scopes to be seeded.
local given, requests, cost, n, dry, life, most, ledger = struct.unpack('<dddddddd', ARGV[2])
clock(given)
keep = life
dry = dry == 1
local ask, descs = { requests, cost }, { cmsgpack.unpack(ARGV[3]) }
local deadlines, record = KEYS[n + 1], KEYS[n + 2]
local held = cost > 0 and 2 or 1
local replay = record and redis.call('EXISTS', record) == 1

local scopes, outstanding
local function read()
  scopes, outstanding = {}, false
  if n == 0 then return end
  local raw = redis.call('MGET', unpack(KEYS, 1, n))
  for i = 1, n do
    local s = open(KEYS[i], descs[i], raw[i])
    for r = 1, s.n do
      if s.t[6 * r - 1] > 0 then outstanding = true end
    end
    scopes[i] = s
  end
end
read()
if outstanding and expire(deadlines) then read() end

if cost > 0 and ledger == 1 and not replay then
  local bits = 0
  for i, s in ipairs(scopes) do
    if s.t[1] == 0 then bits = bits + 2 ^ (i - 1) end
  end
  if bits > 0 then return struct.pack('<ddd', 2, now, bits) end
end

local answer, status, refusals = {}, 0, {}
for _, s in ipairs(scopes) do
  for r = 1, s.n do
    advance(s, r)
    local wait = (dry or replay) and 0 or refusal(s, r, ask[s.desc[6 * r - 4]])
    if wait ~= 0 then status = 1 end
    refusals[#refusals + 1] = wait
  end
end

if status == 0 and not dry and not replay then
  if record and redis.call('ZCARD', deadlines) >= most then return struct.pack('<dd', 3, now) end
  local parts, deadline = {}, now + keep * 1000
  if record then
    redis.call('ZADD', deadlines, deadline, record)
    redis.call('PEXPIRE', deadlines, 4 * keep)
    earliest = nil
  end
  for _, s in ipairs(scopes) do
    local starts, touched = {}, false
    for r = 1, s.n do
      local unit = s.desc[6 * r - 4]
      if ask[unit] > 0 then
        touched = true
        local reserve = record and unit == held
        charge(s, r, ask[unit], reserve and ask[unit] or 0)
        if reserve then starts[#starts + 1] = s.t[6 * r - 4] end
      end
    end
    if touched then save(s, deadlines) end
    if #starts > 0 then parts[#parts + 1] = { s.hot, s.desc, starts } end
  end
  if record then
    local rec = { ask[held], deadline, deadline + keep * 1000, 0, 0, parts, held }
    redis.call('SET', record, cmsgpack.pack(rec), 'PX', 2 * keep)
  end
end

local rule = 0
for _, s in ipairs(scopes) do
  for r = 1, s.n do
    rule = rule + 1
    local used, reserved, reset = reading(s, r)
    answer[#answer + 1] = used
    answer[#answer + 1] = reserved
    answer[#answer + 1] = reset
    answer[#answer + 1] = refusals[rule]
  end
end
return struct.pack('<' .. string.rep('d', #answer + 2), status, now, unpack(answer))
