-- Reads turns that forks share.
-- KEYS: turns, held, turns set aside, held of these
-- ARGV: birth, 'after' or 'before', first, last, most turns, most bytes, least turns
-- Answers the numbers of the turns that were read, in order ('after' upwards, 'before'
-- downwards), as one text, and what was stored under each.
local stream = held_under(ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4])
if not stream then
  return {'', {}}
end
return {read_turns(stream, ARGV[2] == 'after', tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))}
