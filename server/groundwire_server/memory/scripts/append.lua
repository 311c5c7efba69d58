-- Appends turns, all or none.
-- KEYS: session, turns, and with an idempotency key: answer
-- ARGV: expected head or '', digest, lifetime of the answer in ms, now in ms, how old in ms the
--       time of use in the subject's list may be, time as text, expected birth or '', then for each
--       turn: its tokens, what is known of the answer that it is as JSON or '', and the turn as it
--       is read back
-- Answers 'appended', the new head, and if the list is to learn of it the birth and the subject;
-- 'again' and the head it was then, 'moved' and the head, 'clash' or 'missing'.
local session = redis.call('HMGET', KEYS[1],
  'head', 'birth', 'ttl', 'held', 'listed', 'subject', 'tokens', 'answers', 'bytes')
if not session[1] then
  return {'missing'}
end
local head, birth, ttl, held = tonumber(session[1]), session[2], session[3], session[4]
if ARGV[7] ~= '' and ARGV[7] ~= birth then
  return {'missing'}
end
local tokens, answers, bytes = tonumber(session[7]), session[8], tonumber(session[9] or 0)

if KEYS[3] then
  local first = redis.call('HMGET', KEYS[3], 'birth', 'digest', 'head')
  -- An answer about a session of this id that was deleted since is about another one.
  if first[1] == birth then
    if first[2] ~= ARGV[2] then
      return {'clash'}
    end
    return {'again', tonumber(first[3])}
  end
end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= head then
  return {'moved', head}
end

-- Sums that add up: a fork begins with those at the turn where it was made.
local function with(answer)
  local sums = answers and cjson.decode(answers) or {models = {}, latency = {0, 0}, confidence = {0, 0}}
  sums.models[answer.model] = (sums.models[answer.model] or 0) + 1
  for _, name in ipairs({'latency', 'confidence'}) do
    if answer[name] then
      sums[name] = {sums[name][1] + 1, sums[name][2] + answer[name]}
    end
  end
  return cjson.encode(sums)
end

if head == 0 then
  redis.call('HSET', KEYS[1], 'first', ARGV[6])
end
for at = 8, #ARGV, 3 do
  head = head + 1
  tokens = tokens + tonumber(ARGV[at])
  bytes = bytes + #ARGV[at + 2]
  if ARGV[at + 1] ~= '' then
    answers = with(cjson.decode(ARGV[at + 1]))
  end
  if answers then
    redis.call('XADD', KEYS[2], head .. '-0', 'turn', ARGV[at + 2],
      'tokens', string.format('%.0f', tokens), 'answers', answers)
  else
    redis.call('XADD', KEYS[2], head .. '-0', 'turn', ARGV[at + 2],
      'tokens', string.format('%.0f', tokens))
  end
end
redis.call('HSET', KEYS[1], 'head', head, 'tokens', string.format('%.0f', tokens),
  'bytes', string.format('%.0f', bytes), 'last', ARGV[6])
if answers then
  redis.call('HSET', KEYS[1], 'answers', answers)
end
if KEYS[3] then
  redis.call('HSET', KEYS[3], 'birth', birth, 'digest', ARGV[2], 'head', head)
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
if ttl then
  -- One point in time for both, so that neither outlives the other, unless forks need the turns.
  local now = redis.call('TIME')
  local moment = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + ttl)
  redis.call('PEXPIREAT', KEYS[1], moment)
  if not held then
    redis.call('PEXPIREAT', KEYS[2], moment)
  end
end
if tonumber(ARGV[4]) - tonumber(session[5] or 0) < tonumber(ARGV[5]) then
  return {'appended', head}
end
redis.call('HSET', KEYS[1], 'listed', ARGV[4])
return {'appended', head, birth, session[6]}
