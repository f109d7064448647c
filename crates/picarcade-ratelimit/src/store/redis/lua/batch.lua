-- Decides several requests without dollars one after the other, as if each had come alone. Every
-- state is read once and written once. A request that all limits have room for passes by one
-- comparison for each scope, as in fast.lua.
--
-- The order is read, decide all, write all. After the first write nothing can fail.
--
-- KEYS: the deadlines, the states
-- ARGV[1]: time (0: that of the server), time to live of reservations in ms, number of descriptors;
--   the hash of the limits of each descriptor; for each state the index of its descriptor, from 1
-- ARGV[2]: for each request its number of requests, its number of states, and their indexes, from 1
-- ARGV[3]: the packed descriptors
-- Returns the time (a double); for each state its length (two bytes) and the state as it was; for
--   each request
--   0 if it passed; or
--   1 and the answer of acquire.lua, and after an admission its states as they are now
local call, unpack_state, byte = redis.call, struct.unpack, string.byte
local deadlines, n = KEYS[1], #KEYS - 1
local time, life, kinds, own = unpack_state('<dI5B', ARGV[1])
clock(time)
keep = life
local hashes = { unpack_state('<' .. string.rep('I7', kinds), ARGV[1], own) }
-- The byte before the index of the first state's descriptor.
own = own + 7 * kinds - 1

local descs
local function desc_of(k)
  descs = descs or described({ cmsgpack.unpack(ARGV[3]) }, hashes)
  return descs[byte(ARGV[1], own + k)]
end

-- The room of a state is below 0 if no request passes by it: a bucket ended, the limits changed, or
-- there is no state.
local raw, room, sum, came, states, images
local function read()
  raw, room, sum, came, states, images = call('MGET', unpack(KEYS, 2)), {}, {}, {}, {}, {}
  local outstanding = false
  for k = 1, n do
    local state, till, limits = raw[k], 0
    room[k], sum[k] = -1, 0
    -- A value that is too long for a state would make the answer of all requests too long.
    if state and (#state < $FAST_BYTES or #state > 4096) then raw[k], state = false, false end
    if state then
      till, limits, room[k], sum[k] = unpack_state('<$FAST_FORMAT', state)
      if now >= till or limits ~= hashes[byte(ARGV[1], own + k)] then
        room[k] = -1
        states[k] = open(KEYS[k + 1], desc_of(k), state)
        if reserves(states[k]) then outstanding = true end
      end
    end
    came[k] = sum[k]
  end
  return outstanding
end
-- A reservation can only be due if a state was opened, because no request passes by a state beyond
-- the first deadline.
if read() and expire(deadlines) then read() end

-- Returns an open state with all requests that passed since it was opened or written.
local folded = {}
local function state(k)
  local s = states[k]
  if not s then
    s = open(KEYS[k + 1], desc_of(k), raw[k])
    states[k], folded[k] = s, came[k]
  end
  local since = sum[k] - (folded[k] or came[k])
  if since > 0 then pass(s, since) end
  folded[k] = sum[k]
  return s
end

-- Decides one request by the whole arithmetic.
local function whole(ks, requests)
  local scopes, ask = {}, { requests, 0 }
  for i, k in ipairs(ks) do scopes[i] = state(k) end
  local status, refusals = weigh(scopes, ask)
  local now_are = ''
  if status == $ADMITTED then
    for i, k in ipairs(ks) do
      local s = scopes[i]
      local touched = take(s, ask)
      local till, free = passing(s, deadlines)
      local image = picture(s, till, free)
      now_are = now_are .. image
      if touched then
        images[k] = image
        room[k], sum[k], folded[k] = now < till and free or -1, 0, 0
      end
    end
  end
  return '\1' .. struct.pack('<dd', status, now) .. readings(scopes, refusals) .. now_are
end

local was = {}
for k = 1, n do was[k] = struct.pack('<I2', raw[k] and #raw[k] or 0) .. (raw[k] or '') end

local members, answers, at = ARGV[2], {}, 1
while at <= #members do
  local requests, count, from = unpack_state('<I7B', members, at)
  at = from + count
  local a, b, c, d = byte(members, from, at - 1)
  if sum[a] + requests <= room[a] and (not b or sum[b] + requests <= room[b])
    and (not c or sum[c] + requests <= room[c]) and (not d or sum[d] + requests <= room[d])
  then
    sum[a] = sum[a] + requests
    if b then sum[b] = sum[b] + requests end
    if c then sum[c] = sum[c] + requests end
    if d then sum[d] = sum[d] + requests end
    answers[#answers + 1] = '\0'
  else
    answers[#answers + 1] = whole({ a, b, c, d }, requests)
  end
end

for k = 1, n do
  if images[k] then
    local before, after = string.sub(images[k], 1, $PASSED_OFFSET), string.sub(images[k], $FAST_BYTES + 1)
    write(states[k], before .. struct.pack('<I7', sum[k]) .. after)
  elseif sum[k] > came[k] then
    call('SETRANGE', KEYS[k + 1], '$PASSED_OFFSET', struct.pack('<I7', sum[k]))
  end
end
return struct.pack('<d', now) .. table.concat(was) .. table.concat(answers)
