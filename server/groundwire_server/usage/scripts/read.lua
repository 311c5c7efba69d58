-- Reads hashes of one day as they are at one moment.
-- KEYS: the hashes
-- Answers the fields and values of each, in order.
local found = {}
for at, key in ipairs(KEYS) do
  found[at] = redis.call('HGETALL', key)
end
return found
