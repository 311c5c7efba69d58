-- Tells what all turns up to one that forks share add up to.
-- KEYS: turns, held, turns set aside, held of these
-- ARGV: birth, turn
-- Answers tokens, answers and time; '' for what is not known.
local stream = held_under(ARGV[1], KEYS[1], KEYS[2], KEYS[3], KEYS[4])
if not stream then
  return {'', '', ''}
end
return sums_at(stream, tonumber(ARGV[2]))
