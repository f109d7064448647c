-- The arithmetic of src/counter, for scripts. Put before each of them, after the names that fast.lua has (`now`, `keep`).
--
-- All amounts and times are whole numbers below 2^53, which doubles hold exactly; nothing is ever turned into decimal
-- text, which would keep 14 digits.
--
-- A scope's descriptor is a flat array: its time to live in ms (without that of reservations), then six numbers for
-- each rule: unit (1 requests, 2 cost), limit, kind, and
--   kind 0, buckets: width, span, 0
--   kind 1, leaky:   unit, rate, burst
-- and last a number made of all limits.
-- A scope's state is the four numbers of fast.lua, the time to which its rules were moved, and the
-- stamp of the last comparison with the cost ledger (see epoch.lua; 0: never).
-- Then for each rule three numbers of seven bytes and two bytes:
--   kind 0: amount of the newest bucket, total, reserved, number of past buckets, and how many
--           buckets ago the last charge was
--   kind 1: level, 0, 0, 0, 0
-- Opened (`t`), it is that stamp, then for each rule, from 6r-5 + 1: start of the newest bucket
-- (the time), the four, start of the last charge. Past buckets are pairs (start, amount) of
-- doubles, oldest first, in a hash in the same slot: they are read and written only when time
-- enters a new bucket. The key of a state ends in `s`, the key of its past buckets in `p`. The last
-- byte distinguishes the two, so no subject's text can turn one into the other.
local earliest

local function past_key(hot)
  return string.sub(hot, 1, -2) .. 'p'
end

local function clock(given)
  now = given
  if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
  end
end

-- Descriptors, each with the number made of its limits behind it.
local function described(descs, amounts)
  for i, desc in ipairs(descs) do desc[#desc + 1] = amounts[i] end
  return descs
end

-- What was admitted in passing belongs to the newest buckets.
local function pass(s, sum)
  local d, t = s.desc, s.t
  for r = 1, sum > 0 and s.n or 0 do
    local o = 6 * r - 5
    if d[o + 1] == 1 then
      t[o + 2] = t[o + 2] + sum
      t[o + 3] = t[o + 3] + sum
      t[o + 6] = t[o + 1]
    end
  end
end

local function open(hot, desc, raw)
  local n = (#desc - 2) / 6
  local s = { hot = hot, desc = desc, n = n, at = 0, t = { 0 }, rings = {}, dirty = {} }
  local t = s.t
  if not raw or #raw ~= 42 + 23 * n then
    for i = 2, 6 * n + 1 do t[i] = 0 end
    return s
  end
  local v = { struct.unpack('<I7I7I7I7I7I7' .. string.rep('I7I7I7BB', n), raw) }
  s.at, t[1] = v[5], v[6]
  -- To be written when anything passes, so that the next can pass by fast.lua.
  s.stale = now >= v[1] or v[2] ~= desc[#desc]
  for r = 1, n do
    local o, i = 6 * r - 5, 5 * r + 1
    local leaky, width = desc[o + 3] == 1, desc[o + 4]
    local start = leaky and s.at or s.at - s.at % width
    t[o + 1] = start
    for j = 1, 4 do t[o + 1 + j] = v[i + j] end
    t[o + 6] = leaky and 0 or start - v[i + 5] * width
  end
  pass(s, v[4])
  return s
end

local function counts_dollars(s)
  for r = 1, s.n do
    if s.desc[6 * r - 4] == 2 then return true end
  end
  return false
end

-- Whether any of it is reserved.
local function reserves(s)
  for r = 1, s.n do
    if s.t[6 * r - 1] > 0 then return true end
  end
  return false
end

-- Until when requests may pass by fast.lua, and how many: while no bucket ends and no reservation expires. A leaking level never stands
-- still, and a counter that was not moved to the present is not vouched for.
local function passing(s, deadlines)
  local d, t, till, room, outstanding = s.desc, s.t, math.huge, math.huge, false
  for r = 1, s.n do
    local o = 6 * r - 5
    if d[o + 3] == 1 then return 0, 0 end
    till = math.min(till, t[o + 1] + d[o + 4])
    if d[o + 1] == 1 then room = math.min(room, d[o + 2] - t[o + 3]) end
    if t[o + 4] > 0 then outstanding = true end
  end
  if outstanding then
    if not earliest then
      local first = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
      earliest = tonumber(first[2]) or math.huge
    end
    till = math.min(till, earliest)
  end
  return till, math.max(0, room)
end

local function ring(s, r)
  if not s.rings[r] then
    local o, past = 6 * r - 5, false
    if s.t[o + 5] > 0 then
      past = redis.pcall('HGET', past_key(s.hot), r)
      if type(past) ~= 'string' then past, s.t[o + 3] = false, s.t[o + 2] end
    end
    s.rings[r] = past or ''
  end
  return s.rings[r]
end

local function advance_rule(s, r)
  local d, t, o = s.desc, s.t, 6 * r - 5
  if d[o + 3] == 1 then
    if now > t[o + 1] then
      t[o + 2] = math.max(0, t[o + 2] - (now - t[o + 1]) * d[o + 5])
      t[o + 1] = now
    end
    return
  end
  local width = d[o + 4]
  if now < t[o + 1] + width then return end
  local start = now - now % width
  if t[o + 2] > 0 or t[o + 5] > 0 then
    local past = ring(s, r)
    if t[o + 2] > 0 then past = past .. struct.pack('<dd', t[o + 1], t[o + 2]) end
    local from = 1
    while from < #past do
      local at, amount = struct.unpack('<dd', past, from)
      if at + width * d[o + 5] > start then break end
      t[o + 3] = t[o + 3] - amount
      from = from + 16
    end
    s.rings[r] = string.sub(past, from)
    s.dirty[r] = true
    t[o + 5] = #s.rings[r] / 16
  end
  t[o + 1] = start
  t[o + 2] = 0
end

-- Moves a state to the present: all of its rules, because it remembers one time for them all.
local function advance(s)
  for r = 1, s.n do advance_rule(s, r) end
  s.at = math.max(s.at, now)
end

-- 0 when the amount fits, -1 when it never will, else the microseconds until it does.
local function refusal(s, r, amount)
  local d, t, o = s.desc, s.t, 6 * r - 5
  if amount == 0 then return 0 end
  if d[o + 3] == 1 then
    local capacity = d[o + 4] * d[o + 6]
    if amount > d[o + 6] then return -1 end
    local missing = amount * d[o + 4] - (capacity - math.min(t[o + 2], capacity))
    return missing > 0 and math.ceil(missing / d[o + 5]) or 0
  end
  local free = d[o + 2] - t[o + 3]
  if amount <= free then return 0 end
  if amount > d[o + 2] then return -1 end
  local excess, past = amount - free, ring(s, r)
  for i = 1, #past, 16 do
    local at, held = struct.unpack('<dd', past, i)
    excess = excess - held
    if excess <= 0 then return at + d[o + 4] * d[o + 5] - now end
  end
  return t[o + 1] + d[o + 4] * d[o + 5] - now
end

local function charge(s, r, amount, reserved)
  local d, t, o = s.desc, s.t, 6 * r - 5
  if amount == 0 then return end
  if d[o + 3] == 1 then
    t[o + 2] = t[o + 2] + amount * d[o + 4]
    return
  end
  t[o + 2] = t[o + 2] + amount
  t[o + 3] = t[o + 3] + amount
  t[o + 4] = t[o + 4] + reserved
  t[o + 6] = t[o + 1]
end

-- Back to the bucket it came from, if that one still counts; never to another.
local function refund(s, r, start, amount)
  local t, o = s.t, 6 * r - 5
  if t[o + 1] == start then
    local back = math.min(amount, t[o + 2])
    t[o + 2] = t[o + 2] - back
    t[o + 3] = t[o + 3] - back
    return
  end
  local past = ring(s, r)
  for i = 1, #past, 16 do
    local at, held = struct.unpack('<dd', past, i)
    if at == start then
      local back = math.min(amount, held)
      s.rings[r] = string.sub(past, 1, i - 1) .. struct.pack('<dd', at, held - back) .. string.sub(past, i + 16)
      s.dirty[r] = true
      t[o + 3] = t[o + 3] - back
      return
    end
  end
end

local function conclude(s, r, amount)
  local o = 6 * r - 5
  s.t[o + 4] = math.max(0, s.t[o + 4] - amount)
end

-- Used, reserved, and the microseconds until nothing counts any more.
local function reading(s, r)
  local d, t, o = s.desc, s.t, 6 * r - 5
  if d[o + 3] == 1 then
    return math.ceil(t[o + 2] / d[o + 4]), 0, math.ceil(t[o + 2] / d[o + 5])
  end
  local reset = 0
  if t[o + 3] > 0 then reset = math.max(0, t[o + 6] + d[o + 4] * d[o + 5] - now) end
  return t[o + 3], math.min(t[o + 4], t[o + 3]), reset
end

-- Moves all to the present; answers 1 if any limit has no room, and for each what its refusal is.
local function weigh(scopes, ask)
  local status, refusals = 0, {}
  for _, s in ipairs(scopes) do
    advance(s)
    for r = 1, s.n do
      local wait = refusal(s, r, ask[s.desc[6 * r - 4]])
      if wait ~= 0 then status = 1 end
      refusals[#refusals + 1] = wait
    end
  end
  return status, refusals
end

-- Charges a scope, and reserves what is of the unit `held`. Answers whether it has to be written, and where the reserved went.
local function take(s, ask, held)
  local touched, starts = s.stale and ask[1] > 0, {}
  for r = 1, s.n do
    local unit = s.desc[6 * r - 4]
    if ask[unit] > 0 then
      touched = true
      charge(s, r, ask[unit], unit == held and ask[unit] or 0)
      if unit == held then starts[#starts + 1] = s.t[6 * r - 4] end
    end
  end
  return touched, starts
end

local function readings(scopes, refusals)
  local answer, rule = {}, 0
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
  return struct.pack('<' .. string.rep('d', #answer), unpack(answer))
end

-- A state as it is written.
local function picture(s, till, room)
  local d, t = s.desc, s.t
  local v = { till, d[#d], room, 0, s.at, t[1] }
  for r = 1, s.n do
    local o, ago = 6 * r - 5, 0
    if d[o + 3] == 0 then ago = math.min(255, (t[o + 1] - t[o + 6]) / d[o + 4]) end
    v[#v + 1] = t[o + 2]
    v[#v + 1] = math.max(0, t[o + 3])
    v[#v + 1] = t[o + 4]
    v[#v + 1] = t[o + 5]
    v[#v + 1] = ago
  end
  return struct.pack('<I7I7I7I7I7I7' .. string.rep('I7I7I7BB', s.n), unpack(v))
end

-- What is at a key and is no hash is none of ours: it may not fail those who are written after it.
local function keep_ring(key, r, ring)
  local done
  if ring == '' then done = redis.pcall('HDEL', key, r) else done = redis.pcall('HSET', key, r, ring) end
  if type(done) == 'table' then
    redis.call('DEL', key)
    if ring ~= '' then redis.call('HSET', key, r, ring) end
  end
end

local function write(s, image)
  local life = s.desc[1] + keep
  redis.call('SET', s.hot, image, 'PX', life)
  for r in pairs(s.dirty) do keep_ring(past_key(s.hot), r, s.rings[r]) end
  if next(s.dirty) then redis.call('PEXPIRE', past_key(s.hot), life) end
end

local function save(s, deadlines)
  write(s, picture(s, passing(s, deadlines)))
end

-- Reservations. A record is {estimate, deadline, forgotten at, outcome, charged, parts, unit}; outcome 0 is open, and a
-- part is {state's key, descriptor, starts of its rules of that unit}. A record is in the deadlines while what
-- it holds is shown as reserved.
local function each_held(part, unit, deadlines, visit)
  local s = open(part[1], part[2], redis.call('GET', part[1]))
  local held = 0
  advance(s)
  for r = 1, s.n do
    if s.desc[6 * r - 4] == unit then
      held = held + 1
      visit(s, r, part[3][held])
    end
  end
  save(s, deadlines)
end

-- Ends the reservations whose deadline has passed: what was charged for them stays charged.
local function expire(deadlines)
  local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, 64)
  for _, record in ipairs(due) do
    local raw = redis.call('GET', record)
    if raw then
      local rec = cmsgpack.unpack(raw)
      for _, part in ipairs(rec[6]) do
        each_held(part, rec[7], deadlines, function(s, r) conclude(s, r, rec[1]) end)
      end
    end
    redis.call('ZREM', deadlines, record)
  end
  earliest = nil
  return #due > 0
end
