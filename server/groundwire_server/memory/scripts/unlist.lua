-- Takes a session off its subject's list.
-- KEYS: list, and to count it as removed by retention: removals
-- ARGV: entry, the time of use in ms that it was seen with or '' for any, now in ms
-- Answers whether it was taken off: 1 or 0.
if ARGV[2] ~= '' then
  local used = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not used or tonumber(used) ~= tonumber(ARGV[2]) then
    return 0
  end
end
local removed = redis.call('ZREM', KEYS[1], ARGV[1])
if KEYS[2] and removed == 1 then
  redis.call('HINCRBY', KEYS[2], 'sessions', 1)
  redis.call('HSET', KEYS[2], 'time', ARGV[3])
end
return removed
