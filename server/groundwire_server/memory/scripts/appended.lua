-- What the head was after an append with an idempotency key.
-- KEYS: session, answer
-- Answers it; nothing if there was none in this life of the session.
local birth = redis.call('HGET', KEYS[1], 'birth')
local first = redis.call('HMGET', KEYS[2], 'birth', 'head')
if not birth or first[1] ~= birth then
  return {}
end
return {tonumber(first[2])}
