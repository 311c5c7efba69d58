-- Creates a session.
-- KEYS: session, turns, held, and with an idempotency key: answer
-- ARGV: birth, subject, title, time, time to live in ms or '', digest, lifetime of the answer in
--       ms, now in ms, what else the answer says, then fields and values of a session that has
--       turns already because it is a fork
-- Answers 'created', 'again' and what else the answer said (this request was answered before),
-- 'clash' (another one was), 'taken', or 'held' and a birth: turns of a former session of this id
-- are held by forks under the keys of this one, and have to be set aside first.
if KEYS[4] then
  local first = redis.call('HMGET', KEYS[4], 'digest', 'said')
  if first[1] then
    if first[1] ~= ARGV[6] then
      return {'clash'}
    end
    return {'again', first[2] or ''}
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {'taken'}
end
local birth = redis.call('HGET', KEYS[3], 'birth')
if birth then
  return {'held', birth}
end

-- The first write is the one that is refused when memory is full: nothing is half done.
redis.call('HSET', KEYS[1], 'birth', ARGV[1], 'subject', ARGV[2], 'title', ARGV[3],
  'time', ARGV[4], 'head', 0, 'tokens', 0, 'listed', ARGV[8], unpack(ARGV, 10))
-- A Redis that evicts may have left turns of a session that it dropped.
redis.call('DEL', KEYS[2])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'ttl', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if KEYS[4] then
  redis.call('HSET', KEYS[4], 'digest', ARGV[6], 'said', ARGV[9])
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end
return {'created'}
