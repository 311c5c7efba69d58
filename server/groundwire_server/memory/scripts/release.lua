-- Lets go of turns that a fork needed, and removes what nobody needs any more.
-- KEYS: session, turns, held, turns set aside, held of these
-- ARGV: birth, who held them or ''
-- Answers what the turns' own session was forked from, if that is to be let go of too, else ''.
local stream, held = held_under(ARGV[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
if not held then
  return ''
end
if ARGV[2] ~= '' then
  redis.call('HDEL', held, 'h:' .. ARGV[2])
end
local lives = redis.call('HGET', KEYS[1], 'birth') == ARGV[1]
local count, last = needed(held)
if lives then
  if count == 0 then
    redis.call('UNLINK', held)
    redis.call('HDEL', KEYS[1], 'held')
    local left = redis.call('PTTL', KEYS[1])
    if left >= 0 then
      redis.call('PEXPIRE', stream, left)
    end
  end
  return ''
end
if count == 0 then
  local up = redis.call('HGET', held, 'up')
  redis.call('UNLINK', stream, held)
  return up
end
cut(stream, math.max(last, tonumber(redis.call('HGET', held, 'base'))))
return ''
