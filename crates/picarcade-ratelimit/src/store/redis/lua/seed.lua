-- Raises the dollar counters of a scope to what the cost ledger knows. A counter that is higher
-- stays as it is: the larger of both, never the sum.
--
-- KEYS: the deadlines, the state, the epoch
-- ARGV: time (0: that of the server), time to live of reservations in ms, hash of the limits,
--   descriptor, stamp of the comparison, then the spent amount of each cost rule
local deadlines, key, epoch_key = KEYS[1], KEYS[2], KEYS[3]
local time, life, hash = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local descriptor, stamp, before_spent = ARGV[4], tonumber(ARGV[5]), 5
clock(time)
keep = life
local desc = described({ cmsgpack.unpack(descriptor) }, { hash })[1]
local s = open(key, desc, redis.call('GET', key))
local seen = s.t[$STAMP]
-- Another instance compared the state at the same or a later phase of this epoch.
if seen >= stamp and seen < stamp - stamp % 4 + 4 then return 0 end
s.t[$STAMP] = stamp
advance(s)
local costs = 0
for r = 1, s.n do
  local o = $RULE * r - $BASE
  if s.desc[o + $UNIT] == $UNIT_COST then
    costs = costs + 1
    local spent = tonumber(ARGV[before_spent + costs])
    charge(s, r, math.max(0, spent - s.t[o + $TOTAL]), 0)
  end
end
save(s, deadlines)
redis.call('PEXPIRE', epoch_key, EPOCH_LIFE)
return 1
