-- Raises the dollar counters of a scope to what the cost ledger says was spent. A counter that is
-- higher stays as it is: the larger of both counts, never the sum.
--
-- KEYS: the deadlines, the state, the epoch
-- ARGV: time (0: ours), reservation's life in ms, number made of the limits, descriptor, the stamp
-- of the comparison, then the spent amount of each cost rule
clock(tonumber(ARGV[1]))
keep = tonumber(ARGV[2])
local desc = described({ cmsgpack.unpack(ARGV[4]) }, { tonumber(ARGV[3]) })[1]
local s, stamp = open(KEYS[2], desc, redis.call('GET', KEYS[2])), tonumber(ARGV[5])
local seen = s.t[1]
-- Another instance was as late in the same epoch.
if seen >= stamp and seen < stamp - stamp % 4 + 4 then return 0 end
s.t[1] = stamp
advance(s)
local cost = 0
for r = 1, s.n do
  if s.desc[6 * r - 4] == 2 then
    cost = cost + 1
    charge(s, r, math.max(0, tonumber(ARGV[5 + cost]) - s.t[6 * r - 2]), 0)
  end
end
save(s, KEYS[1])
redis.call('PEXPIRE', KEYS[3], EPOCH_LIFE)
return 1
