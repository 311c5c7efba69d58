-- Deletes a session, and those of its turns that no fork needs.
-- KEYS: session, turns, held
-- ARGV: '', or a time in ms: then only if the session was not used since
-- Answers the number of turns removed, the birth, the subject, and what the session itself was
-- forked from, if that needs to be let go of; 'used'; or nothing if there is no session.
local session = redis.call('HMGET', KEYS[1],
  'head', 'birth', 'subject', 'base', 'up', 'held', 'listed')
if not session[1] then
  return {}
end
if ARGV[1] ~= '' and tonumber(session[7] or 0) > tonumber(ARGV[1]) then
  return {'used'}
end
local head, base = tonumber(session[1]), tonumber(session[4] or 0)
redis.call('UNLINK', KEYS[1])
if not session[6] then
  redis.call('UNLINK', KEYS[2])
  return {head - base, session[2], session[3], session[5] or ''}
end
local _, last = needed(KEYS[3])
last = math.max(last, base)
if last == base then
  redis.call('UNLINK', KEYS[2])
else
  cut(KEYS[2], last)
end
return {head - last, session[2], session[3], ''}
