-- Concludes a reservation once. A repetition returns the first answer.
--
-- KEYS: the record, the deadlines (the record has the keys of the states, which share its slot)
-- ARGV: time (0: that of the server), actual cost (-1: release)
-- Returns doubles: outcome, estimate, charged amount, whether it was repeated
clock(tonumber(ARGV[1]))
local record, deadlines, actual = KEYS[1], KEYS[2], tonumber(ARGV[2])
local raw = redis.call('GET', record)
if not raw then return struct.pack('<dddd', $UNKNOWN, 0, 0, 0) end
local rec = cmsgpack.unpack(raw)
local estimate, deadline, forget_at = rec[$ESTIMATE], rec[$DEADLINE], rec[$FORGET_AT]
local outcome, unit = rec[$OUTCOME], rec[$HELD_UNIT]
if now >= forget_at then return struct.pack('<dddd', $UNKNOWN, 0, 0, 0) end
if outcome ~= $UNKNOWN then return struct.pack('<dddd', outcome, estimate, rec[$CHARGED], 1) end

keep = (forget_at - deadline) / 1000
local charged = math.max(0, actual)
if now >= deadline then
  outcome, charged = $EXPIRED, math.max(charged, estimate)
else
  outcome = actual < 0 and $RELEASED or $SETTLED
end
local is_reserved = redis.call('ZREM', deadlines, record) == 1
for _, part in ipairs(rec[$PARTS]) do
  each_held(part, unit, deadlines, function(s, r, start)
    if is_reserved then conclude(s, r, estimate) end
    if charged < estimate then refund(s, r, start, estimate - charged) end
    if charged > estimate then charge(s, r, charged - estimate, 0) end
  end)
end
if outcome ~= $EXPIRED then forget_at = now + keep * 1000 end
local concluded = { estimate, deadline, forget_at, outcome, charged, {}, unit }
redis.call('SET', record, cmsgpack.pack(concluded), 'PX', 2 * keep)
return struct.pack('<dddd', outcome, estimate, charged, 0)
