-- What several scripts do with the turns of a session; put in front of them.

-- Numbers first to last of a stream, upwards or downwards: at most `limit` turns and `room` bytes,
-- but at least `least` turns if there are any, whatever their size. Returns the numbers as one
-- text, and what was stored under each.
local function read_turns(stream, upwards, first, last, limit, room, least)
  local numbers, turns = {}, {}
  while limit > 0 and room > 0 and first <= last do
    local found
    if upwards then
      found = redis.call('XRANGE', stream, first .. '-0', last .. '-0',
        'COUNT', math.min(limit, 16))
    else
      found = redis.call('XREVRANGE', stream, last .. '-0', first .. '-0',
        'COUNT', math.min(limit, 16))
    end
    if #found == 0 then
      break
    end
    for _, entry in ipairs(found) do
      local turn = entry[2][2]
      room = room - #turn
      if room >= 0 or #turns < least then
        turns[#turns + 1] = turn
        numbers[#numbers + 1] = string.match(entry[1], '^%d+')
      end
    end
    limit = limit - #found
    if upwards then
      first = first + #found
    else
      last = last - #found
    end
  end
  return table.concat(numbers, ' '), turns
end

-- What is known at a turn of a stream: tokens, answers and time of all turns up to it.
local function sums_at(stream, number)
  local entry = redis.call('XRANGE', stream, number .. '-0', number .. '-0')[1]
  if not entry then
    return {'', '', ''}
  end
  local field = {}
  for at = 1, #entry[2], 2 do
    field[entry[2][at]] = entry[2][at + 1]
  end
  return {field.tokens or '', field.answers or '', string.match(field.turn, '^%["([^"]*)"') or ''}
end

-- The keys under which turns of a life of a session are held: the session's own, or those to
-- which they were set aside when its id was used again. Nothing if they are not there any more.
local function held_under(birth, turns, held, kept_turns, kept_held)
  if redis.call('HGET', held, 'birth') == birth then
    return turns, held
  end
  if redis.call('EXISTS', kept_held) == 1 then
    return kept_turns, kept_held
  end
end

-- How many forks hold turns, and the last turn that one of them needs.
local function needed(held)
  local count, last = 0, 0
  local fields = redis.call('HGETALL', held)
  for at = 1, #fields, 2 do
    if string.sub(fields[at], 1, 2) == 'h:' then
      count = count + 1
      last = math.max(last, tonumber(fields[at + 1]))
    end
  end
  return count, last
end

-- Removes the turns above `last`.
local function cut(stream, last)
  while true do
    local found = redis.call('XREVRANGE', stream, '+', (last + 1) .. '-0', 'COUNT', 500)
    if #found == 0 then
      return
    end
    local ids = {}
    for at, entry in ipairs(found) do
      ids[at] = entry[1]
    end
    redis.call('XDEL', stream, unpack(ids))
  end
end
