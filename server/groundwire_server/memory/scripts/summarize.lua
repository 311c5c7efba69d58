-- Puts a summary in the place of another.
-- KEYS: session
-- ARGV: birth, the summary that was there, as it is stored or '', and that which is to be
-- Answers 'stored'; 'moved' if there is another; or 'missing'.
local session = redis.call('HMGET', KEYS[1], 'birth', 'summary')
if session[1] ~= ARGV[1] then
  return {'missing'}
end
if (session[2] or '') ~= ARGV[2] then
  return {'moved'}
end
redis.call('HSET', KEYS[1], 'summary', ARGV[3])
return {'stored'}
