-- Charges what the cost ledger knows to have been spent, once, to a scope that does not know it.
--
-- KEYS: the deadlines, the state
-- ARGV: time (0: ours), reservation's life in ms, number made of the limits, descriptor, then the spent amount of each
-- cost rule
clock(tonumber(ARGV[1]))
keep = tonumber(ARGV[2])
local desc = described({ cmsgpack.unpack(ARGV[4]) }, { tonumber(ARGV[3]) })[1]
local s = open(KEYS[2], desc, redis.call('GET', KEYS[2]))
if s.t[1] == 1 then return 0 end
s.t[1] = 1
advance(s)
local cost = 0
for r = 1, s.n do
  if s.desc[6 * r - 4] == 2 then
    cost = cost + 1
    charge(s, r, tonumber(ARGV[4 + cost]), 0)
  end
end
save(s, KEYS[1])
return 1
