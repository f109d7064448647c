-- Charges what the cost ledger knows to have been spent, once, to a scope that does not know it.
--
-- KEYS: the state, the deadlines
-- ARGV: time (0: ours), reservation's life in ms, descriptor, then the spent amount of each cost rule
clock(tonumber(ARGV[1]))
keep = tonumber(ARGV[2])
local s = open(KEYS[1], cmsgpack.unpack(ARGV[3]), redis.call('GET', KEYS[1]))
if s.t[1] == 1 then return 0 end
s.t[1] = 1
local cost = 0
for r = 1, s.n do
  if s.desc[6 * r - 4] == 2 then
    cost = cost + 1
    advance(s, r)
    charge(s, r, tonumber(ARGV[3 + cost]), 0)
  end
end
save(s, KEYS[2])
return 1
