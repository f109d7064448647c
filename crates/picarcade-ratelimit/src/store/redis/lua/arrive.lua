-- Records that a client came to this server, and begins an epoch if the counters can have missed
-- what the client spent.
--
-- KEYS: the epoch
-- ARGV: time (0: that of the server), how the client came (1: over a new connection to the server
--   that it used before, 2: from another server)
clock(tonumber(ARGV[1]))
local epoch_key, came = KEYS[1], tonumber(ARGV[2])
epoch(epoch_key, came)
return 1
