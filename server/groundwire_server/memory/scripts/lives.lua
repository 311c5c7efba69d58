-- Tells whether a session is there, or at least turns of it that forks hold.
-- KEYS: session, turns, held, turns set aside, held of these
-- ARGV: birth
-- Answers 1 or 0.
if redis.call('HGET', KEYS[1], 'birth') == ARGV[1] then
  return 1
end
return held_under(ARGV[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]) and 1 or 0
