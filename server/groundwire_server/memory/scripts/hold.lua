-- Keeps the turns of a session, up to one, for as long as a fork needs them.
-- KEYS: session, turns, held
-- ARGV: turn, who holds, how many may
-- Answers 'held', birth, base (the last turn that is shared with another session), lineage, time
-- to live in ms or '', time of the first turn, summary, and tokens, answers and time at the turn
-- ('' if it is shared with another session); 'beyond' and the head; 'full'; or 'missing'.
local session = redis.call('HMGET', KEYS[1],
  'head', 'birth', 'base', 'lineage', 'ttl', 'up', 'first', 'summary')
if not session[1] then
  return {'missing'}
end
local turn, base = tonumber(ARGV[1]), tonumber(session[3] or 0)
if turn > tonumber(session[1]) then
  return {'beyond', tonumber(session[1])}
end
local holder = 'h:' .. ARGV[2]
if redis.call('HEXISTS', KEYS[3], holder) == 0 and needed(KEYS[3]) >= tonumber(ARGV[3]) then
  return {'full'}
end
redis.call('HSET', KEYS[3], 'birth', session[2], 'base', base, 'up', session[6] or '',
  holder, ARGV[1])
redis.call('HSET', KEYS[1], 'held', 1)
redis.call('PERSIST', KEYS[2])
local sums = turn > base and sums_at(KEYS[2], turn) or {'', '', ''}
return {'held', session[2], base, session[4] or '[]', session[5] or '', session[7] or '',
  session[8] or '', sums[1], sums[2], sums[3]}
