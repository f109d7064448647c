-- The arithmetic of src/counter for scripts. Each script begins with it, after `now` and `keep` of
-- fast.lua.
--
-- All amounts and times are whole numbers below 2^53, which doubles hold exactly. None is converted
-- to decimal text, which would keep only 14 digits.
--
-- Names with a dollar sign are numbers of src/store/redis/layout.rs.
--
-- A descriptor holds the rules of one scope as a flat array: its time to live in ms (without that
-- of reservations), then $RULE numbers for each rule, and last the hash of the limits. The numbers
-- of a rule are unit, limit and kind, and
--   for buckets: width, span, 0
--   for a level: weight of a request, rate, burst
--
-- A state begins with the four numbers of fast.lua, the time to which its rules were moved, and the
-- stamp of the last comparison with the cost ledger (see epoch.lua; 0: never). Each rule follows
-- with three packed numbers and two bytes:
--   for buckets: amount of the newest bucket, total, reserved, number of past buckets, and the age
--                of the last charge in buckets
--   for a level: level, 0, 0, 0, 0
--
-- An open state (`t`) begins with that stamp. Each rule follows with $RULE numbers from its base
-- `o`: start of the newest bucket (for a level: the time), the first four numbers above, and the
-- start of the bucket of the last charge.
--
-- Past buckets are pairs (start, amount) of doubles, oldest first, in a hash in the same slot. They
-- are read and written only when time enters a new bucket. The key of a state ends in `s` and the
-- key of its past buckets in `p`. The last byte distinguishes the two, so no subject's text can
-- turn one into the other.
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

-- Appends the hash of its limits to each descriptor.
local function described(descs, hashes)
  for i, desc in ipairs(descs) do desc[#desc + 1] = hashes[i] end
  return descs
end

-- Adds requests that passed to the newest buckets.
local function pass(s, sum)
  local d, t = s.desc, s.t
  for r = 1, sum > 0 and s.n or 0 do
    local o = $RULE * r - $BASE
    if d[o + $UNIT] == $UNIT_REQUESTS then
      t[o + $NEWEST] = t[o + $NEWEST] + sum
      t[o + $TOTAL] = t[o + $TOTAL] + sum
      t[o + $LAST] = t[o + $START]
    end
  end
end

-- Unpacks a state. A missing state, and one of another layout, is opened as an empty one.
local function open(hot, desc, raw)
  local n = (#desc - 2) / $RULE
  local s = { hot = hot, desc = desc, n = n, at = 0, t = { 0 }, rings = {}, dirty = {} }
  local t = s.t
  if not raw or #raw ~= $STATE_HEAD + $STATE_RULE * n then
    for i = 2, $RULE * n + 1 do t[i] = 0 end
    return s
  end
  local v = { struct.unpack('<$HEAD_FORMAT' .. string.rep('$RULE_FORMAT', n), raw) }
  s.at, t[$STAMP] = v[$AT], v[$STAMP_PACKED]
  -- Written at the next admission, so that later requests can pass by fast.lua.
  s.stale = now >= v[$TILL] or v[$HASH] ~= desc[#desc]
  for r = 1, n do
    local o, i = $RULE * r - $BASE, $RULE_PACKED * (r - 1) + $STAMP_PACKED
    local leaky, width = desc[o + $KIND] == $KIND_LEAKY, desc[o + $WIDTH]
    local start = leaky and s.at or s.at - s.at % width
    local newest, total, reserved, past, age = v[i + 1], v[i + 2], v[i + 3], v[i + 4], v[i + 5]
    t[o + $START] = start
    t[o + $NEWEST] = newest
    t[o + $TOTAL] = total
    t[o + $RESERVED] = reserved
    t[o + $PAST] = past
    t[o + $LAST] = leaky and 0 or start - age * width
  end
  pass(s, v[$SUM])
  return s
end

local function counts_dollars(s)
  for r = 1, s.n do
    if s.desc[$RULE * r - $BASE + $UNIT] == $UNIT_COST then return true end
  end
  return false
end

-- Returns whether any amount is reserved.
local function reserves(s)
  for r = 1, s.n do
    if s.t[$RULE * r - $BASE + $RESERVED] > 0 then return true end
  end
  return false
end

-- Returns until when requests may pass by fast.lua, and how many: until a bucket ends or a
-- reservation expires. A level changes all the time, so no request passes by it. A counter that was
-- not moved to the present allows none either.
local function passing(s, deadlines)
  local d, t, till, room, outstanding = s.desc, s.t, math.huge, math.huge, false
  for r = 1, s.n do
    local o = $RULE * r - $BASE
    if d[o + $KIND] == $KIND_LEAKY then return 0, 0 end
    till = math.min(till, t[o + $START] + d[o + $WIDTH])
    if d[o + $UNIT] == $UNIT_REQUESTS then room = math.min(room, d[o + $LIMIT] - t[o + $TOTAL]) end
    if t[o + $RESERVED] > 0 then outstanding = true end
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

-- Returns the past buckets of a rule, which are read at most once.
local function ring(s, r)
  if not s.rings[r] then
    local o, past = $RULE * r - $BASE, false
    if s.t[o + $PAST] > 0 then
      past = redis.pcall('HGET', past_key(s.hot), r)
      if type(past) ~= 'string' then past, s.t[o + $TOTAL] = false, s.t[o + $NEWEST] end
    end
    s.rings[r] = past or ''
  end
  return s.rings[r]
end

local function advance_rule(s, r)
  local d, t, o = s.desc, s.t, $RULE * r - $BASE
  if d[o + $KIND] == $KIND_LEAKY then
    if now > t[o + $START] then
      t[o + $LEVEL] = math.max(0, t[o + $LEVEL] - (now - t[o + $START]) * d[o + $RATE])
      t[o + $START] = now
    end
    return
  end
  local width = d[o + $WIDTH]
  if now < t[o + $START] + width then return end
  local start = now - now % width
  if t[o + $NEWEST] > 0 or t[o + $PAST] > 0 then
    local past = ring(s, r)
    if t[o + $NEWEST] > 0 then past = past .. struct.pack('<dd', t[o + $START], t[o + $NEWEST]) end
    local from = 1
    while from < #past do
      local at, amount = struct.unpack('<dd', past, from)
      if at + width * d[o + $SPAN] > start then break end
      t[o + $TOTAL] = t[o + $TOTAL] - amount
      from = from + 16
    end
    s.rings[r] = string.sub(past, from)
    s.dirty[r] = true
    t[o + $PAST] = #s.rings[r] / 16
  end
  t[o + $START] = start
  t[o + $NEWEST] = 0
end

-- Moves all rules of a state to the present, because it has one time for all of them.
local function advance(s)
  for r = 1, s.n do advance_rule(s, r) end
  s.at = math.max(s.at, now)
end

-- Returns 0 if the amount fits, -1 if it never will, else the microseconds until it does.
local function refusal(s, r, amount)
  local d, t, o = s.desc, s.t, $RULE * r - $BASE
  if amount == 0 then return 0 end
  if d[o + $KIND] == $KIND_LEAKY then
    local weight, burst = d[o + $WEIGHT], d[o + $BURST]
    local capacity = weight * burst
    if amount > burst then return -1 end
    local missing = amount * weight - (capacity - math.min(t[o + $LEVEL], capacity))
    return missing > 0 and math.ceil(missing / d[o + $RATE]) or 0
  end
  local limit, window = d[o + $LIMIT], d[o + $WIDTH] * d[o + $SPAN]
  local free = limit - t[o + $TOTAL]
  if amount <= free then return 0 end
  if amount > limit then return -1 end
  local excess, past = amount - free, ring(s, r)
  for i = 1, #past, 16 do
    local at, held = struct.unpack('<dd', past, i)
    excess = excess - held
    if excess <= 0 then return at + window - now end
  end
  return t[o + $START] + window - now
end

local function charge(s, r, amount, reserved)
  local d, t, o = s.desc, s.t, $RULE * r - $BASE
  if amount == 0 then return end
  if d[o + $KIND] == $KIND_LEAKY then
    t[o + $LEVEL] = t[o + $LEVEL] + amount * d[o + $WEIGHT]
    return
  end
  t[o + $NEWEST] = t[o + $NEWEST] + amount
  t[o + $TOTAL] = t[o + $TOTAL] + amount
  t[o + $RESERVED] = t[o + $RESERVED] + reserved
  t[o + $LAST] = t[o + $START]
end

-- Gives an amount back to the bucket that it was charged to, if that one still counts; never to
-- another one.
local function refund(s, r, start, amount)
  local t, o = s.t, $RULE * r - $BASE
  if t[o + $START] == start then
    local back = math.min(amount, t[o + $NEWEST])
    t[o + $NEWEST] = t[o + $NEWEST] - back
    t[o + $TOTAL] = t[o + $TOTAL] - back
    return
  end
  local past = ring(s, r)
  for i = 1, #past, 16 do
    local at, held = struct.unpack('<dd', past, i)
    if at == start then
      local back = math.min(amount, held)
      s.rings[r] = string.sub(past, 1, i - 1) .. struct.pack('<dd', at, held - back) .. string.sub(past, i + 16)
      s.dirty[r] = true
      t[o + $TOTAL] = t[o + $TOTAL] - back
      return
    end
  end
end

local function conclude(s, r, amount)
  local reserved = $RULE * r - $BASE + $RESERVED
  s.t[reserved] = math.max(0, s.t[reserved] - amount)
end

-- Returns the used and the reserved amount, and the microseconds until no charge counts.
local function reading(s, r)
  local d, t, o = s.desc, s.t, $RULE * r - $BASE
  if d[o + $KIND] == $KIND_LEAKY then
    return math.ceil(t[o + $LEVEL] / d[o + $WEIGHT]), 0, math.ceil(t[o + $LEVEL] / d[o + $RATE])
  end
  local total, reset = t[o + $TOTAL], 0
  if total > 0 then reset = math.max(0, t[o + $LAST] + d[o + $WIDTH] * d[o + $SPAN] - now) end
  return total, math.min(t[o + $RESERVED], total), reset
end

-- Moves all states to the present. Returns $DENIED if any limit has no room, else $ADMITTED, and
-- the refusal of each limit.
local function weigh(scopes, ask)
  local status, refusals = $ADMITTED, {}
  for _, s in ipairs(scopes) do
    advance(s)
    for r = 1, s.n do
      local wait = refusal(s, r, ask[s.desc[$RULE * r - $BASE + $UNIT]])
      if wait ~= 0 then status = $DENIED end
      refusals[#refusals + 1] = wait
    end
  end
  return status, refusals
end

-- Charges a scope and reserves the amount of the unit `held`. Returns whether the state must be
-- written, and the starts of the buckets with a reserved amount.
local function take(s, ask, held)
  local touched, starts = s.stale and ask[$UNIT_REQUESTS] > 0, {}
  for r = 1, s.n do
    local o = $RULE * r - $BASE
    local unit = s.desc[o + $UNIT]
    if ask[unit] > 0 then
      touched = true
      charge(s, r, ask[unit], unit == held and ask[unit] or 0)
      if unit == held then starts[#starts + 1] = s.t[o + $START] end
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

-- Packs a state.
local function picture(s, till, room)
  local d, t = s.desc, s.t
  local v = { till, d[#d], room, 0, s.at, t[$STAMP] }
  for r = 1, s.n do
    local o, age = $RULE * r - $BASE, 0
    if d[o + $KIND] == $KIND_BUCKETS then
      age = math.min(255, (t[o + $START] - t[o + $LAST]) / d[o + $WIDTH])
    end
    v[#v + 1] = t[o + $NEWEST]
    v[#v + 1] = math.max(0, t[o + $TOTAL])
    v[#v + 1] = t[o + $RESERVED]
    v[#v + 1] = t[o + $PAST]
    v[#v + 1] = age
  end
  return struct.pack('<$HEAD_FORMAT' .. string.rep('$RULE_FORMAT', s.n), unpack(v))
end

-- Writes the past buckets of a rule. A key that is no hash was not written by this store, and must
-- not fail the requests that are written after it.
local function keep_ring(key, r, ring)
  local done
  if ring == '' then done = redis.pcall('HDEL', key, r) else done = redis.pcall('HSET', key, r, ring) end
  if type(done) == 'table' then
    redis.call('DEL', key)
    if ring ~= '' then redis.call('HSET', key, r, ring) end
  end
end

local function write(s, image)
  local life = s.desc[$LIFE] + keep
  redis.call('SET', s.hot, image, 'PX', life)
  for r in pairs(s.dirty) do keep_ring(past_key(s.hot), r, s.rings[r]) end
  if next(s.dirty) then redis.call('PEXPIRE', past_key(s.hot), life) end
end

local function save(s, deadlines)
  write(s, picture(s, passing(s, deadlines)))
end

-- Reservations. A record is an array: estimate, deadline, time at which it is forgotten, outcome
-- ($UNKNOWN while it is open), charged amount, parts, held unit. A part is an array: key of a
-- state, its descriptor, and the starts of the charged buckets of its rules of that unit. The
-- deadlines contain a record while its amount is reserved in the states.
local function each_held(part, unit, deadlines, visit)
  local key, desc, starts = part[$PART_STATE], part[$PART_DESCRIPTOR], part[$PART_STARTS]
  local s = open(key, desc, redis.call('GET', key))
  local held = 0
  advance(s)
  for r = 1, s.n do
    if s.desc[$RULE * r - $BASE + $UNIT] == unit then
      held = held + 1
      visit(s, r, starts[held])
    end
  end
  save(s, deadlines)
end

-- Ends the reservations whose deadline has passed. Their charges stay.
local function expire(deadlines)
  local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, 64)
  for _, record in ipairs(due) do
    local raw = redis.call('GET', record)
    if raw then
      local rec = cmsgpack.unpack(raw)
      local estimate = rec[$ESTIMATE]
      for _, part in ipairs(rec[$PARTS]) do
        each_held(part, rec[$HELD_UNIT], deadlines, function(s, r) conclude(s, r, estimate) end)
      end
    end
    redis.call('ZREM', deadlines, record)
  end
  earliest = nil
  return #due > 0
end
