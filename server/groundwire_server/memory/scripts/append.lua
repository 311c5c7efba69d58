-- Appends turns, all or none.
-- KEYS: session, turns, and with an idempotency key: answer
-- ARGV: expected head or '', digest, lifetime of the answer in ms, tokens of all turns, then
--       each turn as it is read back
-- Answers 'appended' and the new head, 'again' and the head it was then, 'moved' and the head,
-- 'clash' or 'missing'.
local session = redis.call('HMGET', KEYS[1], 'head', 'birth', 'ttl')
if not session[1] then
  return {'missing'}
end
local head, birth, ttl = tonumber(session[1]), session[2], session[3]

if KEYS[3] then
  local first = redis.call('HMGET', KEYS[3], 'birth', 'digest', 'head')
  -- An answer about a session of this id that was deleted since is about another one.
  if first[1] == birth then
    if first[2] ~= ARGV[2] then
      return {'clash'}
    end
    return {'again', tonumber(first[3])}
  end
end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= head then
  return {'moved', head}
end

for turn = 5, #ARGV do
  head = head + 1
  redis.call('XADD', KEYS[2], head .. '-0', 'turn', ARGV[turn])
end
redis.call('HSET', KEYS[1], 'head', head)
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[4])
if KEYS[3] then
  redis.call('HSET', KEYS[3], 'birth', birth, 'digest', ARGV[2], 'head', head)
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
if ttl then
  -- One point in time for both, so that neither outlives the other.
  local now = redis.call('TIME')
  local moment = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
  redis.call('PEXPIREAT', KEYS[1], moment)
  redis.call('PEXPIREAT', KEYS[2], moment)
end
return {'appended', head}
