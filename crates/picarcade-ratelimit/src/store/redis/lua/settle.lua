-- Concludes a reservation once; the first answer stands.
--
-- KEYS: the record, the deadlines. The states are named by the record and share its slot.
-- ARGV: time (0: ours), actual cost (-1: release)
-- Answers doubles: outcome (0 unknown, 1 settled, 2 released, 3 expired), estimate, charged, whether it was repeated.
clock(tonumber(ARGV[1]))
local raw = redis.call('GET', KEYS[1])
if not raw then return struct.pack('<dddd', 0, 0, 0, 0) end
local rec = cmsgpack.unpack(raw)
local estimate, deadline, outcome = rec[1], rec[2], rec[4]
if now >= rec[3] then return struct.pack('<dddd', 0, 0, 0, 0) end
if outcome ~= 0 then return struct.pack('<dddd', outcome, estimate, rec[5], 1) end

keep = (rec[3] - deadline) / 1000
local actual = tonumber(ARGV[2])
local charged = math.max(0, actual)
if now >= deadline then
  outcome, charged = 3, math.max(charged, estimate)
else
  outcome = actual < 0 and 2 or 1
end
local shown = redis.call('ZREM', KEYS[2], KEYS[1]) == 1
for _, part in ipairs(rec[6]) do
  each_held(part, rec[7], KEYS[2], function(s, r, start)
    if shown then conclude(s, r, estimate) end
    if charged < estimate then refund(s, r, start, estimate - charged) end
    if charged > estimate then charge(s, r, charged - estimate, 0) end
  end)
end
local forgotten = outcome == 3 and rec[3] or now + keep * 1000
local concluded = { estimate, deadline, forgotten, outcome, charged, {}, rec[7] }
redis.call('SET', KEYS[1], cmsgpack.pack(concluded), 'PX', 2 * keep)
return struct.pack('<dddd', outcome, estimate, charged, 0)
