-- Ties an idempotency key to the first request that used it.
-- KEYS: claim
-- ARGV: digest of the request, session id, time, lifetime in ms
-- Answers the digest, the session id and the time of the first request.
local first = redis.call('HMGET', KEYS[1], 'digest', 'session', 'time')
if first[1] then
  return first
end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'session', ARGV[2], 'time', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {ARGV[1], ARGV[2], ARGV[3]}
