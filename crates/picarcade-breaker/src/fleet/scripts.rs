//! What a [`FleetView`](super::FleetView) in Redis runs there, for whoever brings a connection of another kind.
//!
//! One script per method, because a ballot, the removal of the expired ones and the tally are one step, and because the time
//! must be the server's: instances need no common clock. The keys expire by themselves, so a fleet that is gone leaves
//! nothing behind.

/// KEYS: ballots. ARGV: instance, ballot, milliseconds. Returns instances, open, recovered.
pub const VOTE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. string.format('%.0f', now + ARGV[3]))
local tally, last = {total = 0, open = 0, recovered = 0}, 0
local ballots = redis.call('HGETALL', KEYS[1])
for i = 1, #ballots, 2 do
    local ballot, expires = string.match(ballots[i + 1], '^(%a+):(%d+)$')
    expires = tonumber(expires or 0)
    if expires <= now then
        redis.call('HDEL', KEYS[1], ballots[i])
    else
        tally.total = tally.total + 1
        tally[ballot] = (tally[ballot] or 0) + 1
        last = math.max(last, expires)
    end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return {tally.total, tally.open, tally.recovered}
";

/// KEYS: lease. ARGV: instance, milliseconds. Returns 1 for the elected instance.
pub const ELECT: &str = r"
local holder = redis.call('GET', KEYS[1])
if not holder then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
end
return holder == ARGV[1] and 1 or 0
";

/// KEYS: ballots, lease. ARGV: instance.
pub const LEAVE: &str = r"
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2])
end
return 0
";
