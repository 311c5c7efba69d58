-- Creates an empty session.
-- KEYS: session, turns, and with an idempotency key: answer
-- ARGV: birth, subject, title, time, time to live in ms or '', digest, lifetime of the answer in ms
-- Answers 'created', 'again' (this request was answered before), 'clash' (another one was) or
-- 'taken'.
if KEYS[3] then
  local first = redis.call('HGET', KEYS[3], 'digest')
  if first then
    return first == ARGV[6] and 'again' or 'clash'
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'taken'
end

-- The first write is the one that is refused when memory is full: nothing is half done.
redis.call('HSET', KEYS[1], 'birth', ARGV[1], 'subject', ARGV[2], 'title', ARGV[3],
  'time', ARGV[4], 'head', 0, 'tokens', 0)
-- A Redis that evicts may have left turns of a session that it dropped.
redis.call('DEL', KEYS[2])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'ttl', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if KEYS[3] then
  redis.call('HSET', KEYS[3], 'digest', ARGV[6])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
end
return 'created'
