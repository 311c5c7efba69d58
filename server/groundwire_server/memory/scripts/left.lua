-- Tells how much forks hold of a session that is gone, a part at a time.
-- KEYS: session, turns, held, turns set aside, held of these
-- ARGV: birth, the turn after which the part begins, most turns of it, most bytes
-- Answers how many turns the part has, their bytes, and the last of them, or '' if none follows.
if redis.call('HGET', KEYS[1], 'birth') == ARGV[1] then
  return {0, 0, ''}
end
local stream = held_under(ARGV[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
local turns, bytes, last = 0, 0, ARGV[2]
while stream and turns < tonumber(ARGV[3]) and bytes < tonumber(ARGV[4]) do
  local found = redis.call('XRANGE', stream, (tonumber(last) + 1) .. '-0', '+', 'COUNT', 16)
  if #found == 0 then
    return {turns, bytes, ''}
  end
  for _, entry in ipairs(found) do
    turns, bytes = turns + 1, bytes + #entry[2][2]
    last = string.match(entry[1], '^%d+')
  end
end
return {turns, bytes, stream and last or ''}
