-- Gives a page of a subject's list, latest use first.
-- KEYS: list, copy of the list, removals
-- ARGV: entries before the page or '' to begin, page size, lifetime of the copy in ms
-- What follows the first page is copied, so that a session that is used meanwhile is neither
-- missed nor met twice. Answers 'page', entries and their times of use in turn, whether there are
-- more (1 or 0), and how many sessions retention has removed, and when last in ms; or 'expired'.
local size = tonumber(ARGV[2])
local from = tonumber(ARGV[1] ~= '' and ARGV[1] or 0)
local key = ARGV[1] == '' and KEYS[1] or KEYS[2]
if ARGV[1] ~= '' and redis.call('PEXPIRE', key, ARGV[3]) == 0 then
  return {'expired'}
end
local entries = redis.call('ZREVRANGE', key, from, from + size - 1, 'WITHSCORES')
local more = redis.call('ZCARD', key) > from + size and 1 or 0
if ARGV[1] == '' and more == 1 then
  redis.call('ZRANGESTORE', KEYS[2], KEYS[1], 0, -1)
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
local removals = redis.call('HMGET', KEYS[3], 'sessions', 'time')
return {'page', entries, more, tonumber(removals[1] or 0), tonumber(removals[2] or 0)}
