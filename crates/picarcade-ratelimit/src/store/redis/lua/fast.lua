-- The way of nearly every request, put before all else of the acquire script: it asks for no dollars, no bucket ends, and every
-- limit has room. One comparison for each scope, whatever the number of its limits; the rest of the script is not run.
--
-- A state begins with four numbers of seven bytes: until when this holds, a number made of its limits, how many requests
-- still fit into all of its limits as they stood when the state was written, and how many were admitted since. The last is
-- all that is written here, in place, so that the key keeps its time to live.
--
-- Written out for four scopes, and with bytes spared: Redis hashes every byte of every string that enters a script.
--
-- KEYS: the deadlines, one to four states. ARGV[1]: time (0: ours), requests, a reservation's life in ms, and for each of
-- four scopes the number made of its limits (0 where there is none). ARGV[3]: given, it is not this way.
-- Answers doubles: 4, time; then the states as they were before.
local now, requests, keep, a1, a2, a3, a4 = struct.unpack('<ddI5I7I7I7I7', ARGV[1])

if KEYS[2] and not ARGV[3] then
  local call, unpack_state, pack = redis.call, struct.unpack, struct.pack
  if now == 0 then
    local time = call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  local k1, k2, k3, k4 = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
  local raw = call('MGET', unpack(KEYS, 2))
  local s1, s2, s3, s4 = raw[1], raw[2], raw[3], raw[4]
  -- A scope that is not asked always has room.
  local free = '\255\255\255\255\255\255\255\0\0\0\0\0\0\0\255\255\255\255\255\255\255\0\0\0\0\0\0\0'
  if not k2 then s2 = free end
  if not k3 then s3 = free end
  if not k4 then s4 = free end
  if s1 and s2 and s3 and s4 and #s1 > 27 and #s2 > 27 and #s3 > 27 and #s4 > 27 then
    local till1, limits1, room1, sum1 = unpack_state('<I7I7I7I7', s1)
    local till2, limits2, room2, sum2 = unpack_state('<I7I7I7I7', s2)
    local till3, limits3, room3, sum3 = unpack_state('<I7I7I7I7', s3)
    local till4, limits4, room4, sum4 = unpack_state('<I7I7I7I7', s4)
    sum1, sum2, sum3, sum4 = sum1 + requests, sum2 + requests, sum3 + requests, sum4 + requests
    if now < till1 and now < till2 and now < till3 and now < till4
      and sum1 <= room1 and sum2 <= room2 and sum3 <= room3 and sum4 <= room4
      and limits1 == a1 and limits2 == a2 and limits3 == a3 and limits4 == a4
    then
      -- The offset as text: a number would be printed and parsed.
      call('SETRANGE', k1, '21', pack('<I7', sum1))
      if k2 then call('SETRANGE', k2, '21', pack('<I7', sum2)) end
      if k3 then call('SETRANGE', k3, '21', pack('<I7', sum3)) end
      if k4 then call('SETRANGE', k4, '21', pack('<I7', sum4)) end
      return pack('<dd', 4, now) .. s1 .. (k2 and s2 or '') .. (k3 and s3 or '') .. (k4 and s4 or '')
    end
  end
end
