-- The path of nearly every request, before everything else of the acquire script: the request asks
-- for no dollars, no bucket ends, and every limit has room. It takes one comparison for each scope,
-- for any number of limits, and the rest of the script is not run.
--
-- A state begins with four packed numbers: until when this path is open, a hash of the limits, the
-- number of requests for which all limits had room when the state was written, and the number that
-- passed since. Only the last one is written here, in place, so the key keeps its time to live.
--
-- The code is written out for four scopes and saves bytes, because Redis hashes every byte of every
-- string that enters a script.
--
-- KEYS: the deadlines, one to four states
-- ARGV[1]: time (0: that of the server), requests, time to live of reservations in ms, and for each
--   of four scopes the hash of its limits (0 if there is none)
-- ARGV[3]: if given, the request does not take this path
-- Returns doubles: $PASSED, time; then the states as they were before.
local now, requests, keep, hash1, hash2, hash3, hash4 = struct.unpack('<ddI5$FAST_FORMAT', ARGV[1])

if KEYS[2] and not ARGV[3] then
  local call, unpack_state, pack = redis.call, struct.unpack, struct.pack
  if now == 0 then
    local time = call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  local k1, k2, k3, k4 = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
  local raw = call('MGET', unpack(KEYS, 2))
  local s1, s2, s3, s4 = raw[1], raw[2], raw[3], raw[4]
  -- A scope that is not present always has room.
  local free = '\255\255\255\255\255\255\255\0\0\0\0\0\0\0\255\255\255\255\255\255\255\0\0\0\0\0\0\0'
  if not k2 then s2 = free end
  if not k3 then s3 = free end
  if not k4 then s4 = free end
  if s1 and s2 and s3 and s4 and #s1 >= $FAST_BYTES and #s2 >= $FAST_BYTES
    and #s3 >= $FAST_BYTES and #s4 >= $FAST_BYTES
  then
    local till1, limits1, room1, sum1 = unpack_state('<$FAST_FORMAT', s1)
    local till2, limits2, room2, sum2 = unpack_state('<$FAST_FORMAT', s2)
    local till3, limits3, room3, sum3 = unpack_state('<$FAST_FORMAT', s3)
    local till4, limits4, room4, sum4 = unpack_state('<$FAST_FORMAT', s4)
    sum1, sum2, sum3, sum4 = sum1 + requests, sum2 + requests, sum3 + requests, sum4 + requests
    if now < till1 and now < till2 and now < till3 and now < till4
      and sum1 <= room1 and sum2 <= room2 and sum3 <= room3 and sum4 <= room4
      and limits1 == hash1 and limits2 == hash2 and limits3 == hash3 and limits4 == hash4
    then
      -- The offset is text, because a number would be formatted and parsed.
      call('SETRANGE', k1, '$PASSED_OFFSET', pack('<I7', sum1))
      if k2 then call('SETRANGE', k2, '$PASSED_OFFSET', pack('<I7', sum2)) end
      if k3 then call('SETRANGE', k3, '$PASSED_OFFSET', pack('<I7', sum3)) end
      if k4 then call('SETRANGE', k4, '$PASSED_OFFSET', pack('<I7', sum4)) end
      return pack('<dd', $PASSED, now) .. s1 .. (k2 and s2 or '') .. (k3 and s3 or '') .. (k4 and s4 or '')
    end
  end
end
