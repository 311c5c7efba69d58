-- Makes room for a new session where forks hold turns of a former one of the same id.
-- KEYS: session, turns, held, turns set aside, held of these
-- ARGV: birth of the former one
if redis.call('EXISTS', KEYS[1]) == 0 and redis.call('HGET', KEYS[3], 'birth') == ARGV[1] then
  redis.call('RENAME', KEYS[3], KEYS[5])
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('RENAME', KEYS[2], KEYS[4])
  end
end
return 'done'
