-- Reads consecutive turns, which is a use of the session.
-- KEYS: session, turns
-- ARGV: 'after' or 'before', a turn number, most turns, most bytes
-- Answers the head, the numbers of the turns that were read, in order ('after' upwards, 'before'
-- downwards), as one text, and what was stored under each. At least one turn, if there is one,
-- whatever its size. Answers nothing if there is no session.
local session = redis.call('HMGET', KEYS[1], 'head', 'ttl')
if not session[1] then
  return {}
end
local head, ttl = tonumber(session[1]), session[2]
local number, limit, room = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

if ttl then
  -- One point in time for both, so that neither outlives the other. A Redis that takes no writes
  -- now, because its disk is full or because it is a replica, is read all the same.
  local now = redis.call('TIME')
  local moment = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
  redis.pcall('PEXPIREAT', KEYS[1], moment)
  redis.pcall('PEXPIREAT', KEYS[2], moment)
end

local function batch(from, count)
  if ARGV[1] == 'after' then
    return redis.call('XRANGE', KEYS[2], from .. '-0', '+', 'COUNT', count)
  end
  return redis.call('XREVRANGE', KEYS[2], from .. '-0', '-', 'COUNT', count)
end

local step = ARGV[1] == 'after' and 1 or -1
local numbers, turns = {}, {}
-- A number past the head would lose digits as text.
local from = math.min(number, head + 1) + step
while limit > 0 and room > 0 and from >= 1 and from <= head do
  local found = batch(from, math.min(limit, 16))
  if #found == 0 then
    break
  end
  for _, entry in ipairs(found) do
    local turn = entry[2][2]
    room = room - #turn
    if room >= 0 or #turns == 0 then
      turns[#turns + 1] = turn
      numbers[#numbers + 1] = string.match(entry[1], '^%d+')
    end
  end
  limit = limit - #found
  from = from + step * #found
end
return {head, table.concat(numbers, ' '), turns}
