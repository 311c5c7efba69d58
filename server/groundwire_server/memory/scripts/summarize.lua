-- Puts a summary in the place of another.
-- KEYS: session
-- ARGV: birth, the summary that was there, as it is stored or '', that which is to be, and '' or a
--       turn: then what was said up to it is not looked at for memories any more
-- Answers 'stored'; 'moved' if there is another; or 'missing'.
local session = redis.call('HMGET', KEYS[1], 'birth', 'summary')
if session[1] ~= ARGV[1] then
  return {'missing'}
end
if (session[2] or '') ~= ARGV[2] then
  return {'moved'}
end
redis.call('HSET', KEYS[1], 'summary', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'extracted', ARGV[4])
end
return {'stored'}
