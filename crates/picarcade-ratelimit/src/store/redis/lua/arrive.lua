-- Reports that a client came to this server, and begins an epoch if the counters can have missed
-- what the client spent.
--
-- KEYS: the epoch
-- ARGV: time (0: ours), 1 for a new connection to the server that it used before, 2 for a server
-- that it did not use last
clock(tonumber(ARGV[1]))
epoch(KEYS[1], tonumber(ARGV[2]))
return 1
