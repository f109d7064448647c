-- The path of nearly every request, before everything else of the acquire script: the request asks
-- for no dollars, no bucket ends, and every limit has room. It takes one comparison for each scope,
-- for any number of limits, and the rest of the script is not run.
--
-- A state begins with four packed numbers: until when this path is open, a hash of the limits, the
-- number of requests for which all limits had room when the state was written, and the number that
-- passed since. Only the last one is written here, in place, so the key keeps its time to live.
--
-- `$EACH{SEPARATOR|TEXT}` stands for TEXT once for each scope, with the scope's number in place of
-- `@`. The code has no loops and saves bytes, because Redis hashes every byte of every string that
-- enters a script.
--
-- KEYS: the deadlines, the states
-- ARGV[1]: time (0: that of the server), requests, time to live of reservations in ms, and for each
--   scope the hash of its limits (0 if there is none)
-- ARGV[3]: if given, the request does not take this path
-- Returns doubles: $PASSED, time; then the states as they were before.
local now, requests, keep, $EACH{, |hash@} = struct.unpack('<ddI5$EACH{|I7}', ARGV[1])

if KEYS[2] and not ARGV[3] then
  local call, unpack_state, pack = redis.call, struct.unpack, struct.pack
  if now == 0 then
    local time = call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  local $EACH{, |k@} = unpack(KEYS, 2)
  local $EACH{, |s@} = unpack(call('MGET', unpack(KEYS, 2)))
  -- A scope that is not present always has room.
  local free = '\255\255\255\255\255\255\255\0\0\0\0\0\0\0\255\255\255\255\255\255\255\0\0\0\0\0\0\0'
  $EACH{ |if not k@ then s@ = free end}
  if $EACH{ and |s@ and #s@ >= $FAST_BYTES} then
    local $EACH{, |till@, limits@, room@, sum@}
    $EACH{ |till@, limits@, room@, sum@ = unpack_state('<$FAST_FORMAT', s@) sum@ = sum@ + requests}
    if $EACH{ and |now < till@ and sum@ <= room@ and limits@ == hash@} then
      -- The offset is text, because a number would be formatted and parsed.
      $EACH{ |if k@ then call('SETRANGE', k@, '$PASSED_OFFSET', pack('<I7', sum@)) end}
      return pack('<dd', $PASSED, now) .. $EACH{ .. |(k@ and s@ or '')}
    end
  end
end
