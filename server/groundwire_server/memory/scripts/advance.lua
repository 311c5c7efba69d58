-- Notes up to which turn a session was looked at for memories.
-- KEYS: session
-- ARGV: birth, the turn that was noted, and that which is to be
-- Answers 'noted'; 'moved' if another turn is noted; or 'missing'.
local session = redis.call('HMGET', KEYS[1], 'birth', 'extracted', 'base')
if session[1] ~= ARGV[1] then
  return {'missing'}
end
if tonumber(session[2] or session[3] or 0) ~= tonumber(ARGV[2]) then
  return {'moved'}
end
redis.call('HSET', KEYS[1], 'extracted', ARGV[3])
return {'noted'}
