-- Names the forks that hold turns of a session, and what it was forked from itself.
-- KEYS: turns, held, turns set aside, held of these
-- ARGV: birth, or '' for that whose turns are not set aside
-- Answers the fields and values of what is held; nothing if nothing is.
local held = KEYS[2]
if ARGV[1] ~= '' then
  local _
  _, held = held_under(ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4])
end
return held and redis.call('HGETALL', held) or {}
