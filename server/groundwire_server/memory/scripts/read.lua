-- Reads consecutive turns, which is a use of the session if the time is given.
-- KEYS: session, turns
-- ARGV: 'after' or 'before', a turn number, most turns, most bytes, now in ms or '', how old in
--       ms the time of use in the subject's list may be, least turns, and '' or a number of tokens:
--       then no more turns than are likely to have so many, and a few
-- Answers the head, the numbers of the turns that were read, in order ('after' upwards, 'before'
-- downwards), as one text, and what was stored under each. Then, if it was asked for turns that a
-- fork shares, the last of these and where they are, else 0 and ''; the birth if the list is to
-- learn of the use, else ''; the subject, the tokens of all turns, how many turns were wanted, the
-- summary if a number of tokens was given, else '', and the birth. Answers nothing if there is no
-- session.
local session = redis.call('HMGET', KEYS[1],
  'head', 'ttl', 'held', 'base', 'lineage', 'listed', 'birth', 'subject', 'tokens', 'summary')
if not session[1] then
  return {}
end
local head, ttl, base = tonumber(session[1]), session[2], tonumber(session[4] or 0)
local number, limit, room = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[8] ~= '' then
  local average = math.max(1, tonumber(session[9]) / math.max(1, head))
  limit = math.min(limit, math.max(8, math.floor(tonumber(ARGV[8]) / average * 1.1) + 2))
end
local now_ms = tonumber(ARGV[5])

-- A Redis that takes no writes now, because its disk is full or because it is a replica, is read
-- all the same.
if ttl and now_ms then
  -- One point in time for both, so that neither outlives the other, unless forks need the turns.
  local now = redis.call('TIME')
  local moment = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
  redis.pcall('PEXPIREAT', KEYS[1], moment)
  if not session[3] then
    redis.pcall('PEXPIREAT', KEYS[2], moment)
  end
end
local birth = ''
if now_ms and now_ms - tonumber(session[6] or 0) >= tonumber(ARGV[6]) then
  local done = redis.pcall('HSET', KEYS[1], 'listed', ARGV[5])
  if type(done) ~= 'table' then
    birth = session[7]
  end
end

-- A number past the head would lose digits as text.
local upwards = ARGV[1] == 'after'
local first = upwards and math.min(number, head) + 1 or 1
local last = upwards and head or math.min(number - 1, head)
local numbers, turns = '', {}
if not upwards or first > base then
  numbers, turns = read_turns(KEYS[2], upwards, math.max(first, base + 1), last, limit, room,
    tonumber(ARGV[7]))
end
local shared = first <= base
return {head, numbers, turns, shared and base or 0, shared and session[5] or '', birth, session[8],
  session[9], limit, ARGV[8] ~= '' and session[10] or '', session[7]}
