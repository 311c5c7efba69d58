-- Adds what was counted to what there is of a day of a tenant: all of it, and only once.
-- KEYS: subjects of the day with their models, numbers of the batches that were added last, then
--       for each row: its own key, and that of the row of the subjects that are too many
-- ARGV: writer, number of its batch, when all of this expires in seconds since 1970, how many
--       subjects are kept apart, then for each row: subject, model, how many fields, and for each
--       of them: name, amount
-- Answers how many rows were added to that of the others, or -1 if the batch was added before.
local subjects, last = KEYS[1], KEYS[2]
local writer, number, expires, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

if number <= tonumber(redis.call('HGET', last, writer) or 0) then
  return -1
end

-- Redis undoes nothing of a script that fails. So everything is read and added up before anything
-- is written: what is wrong with a key or a number shows until then. The first write is one that
-- Redis refuses while it is full, a replica, without room on its disk or without replicas; after
-- that it asks for none of these until the script has ended. Its log has all of a script or none.
local models, rows, kept = {}, {}, redis.call('HLEN', subjects)

-- A list of models has a semicolon before, between and after them; no name has one.
local function list(subject, model)
  local listed = models[subject] or redis.call('HGET', subjects, subject)
  if not listed then
    if subject ~= '' and kept >= most then
      return false
    end
    listed, kept = ';', kept + 1
  end
  if not string.find(listed, ';' .. model .. ';', 1, true) then
    listed = listed .. model .. ';'
  end
  models[subject] = listed
  return true
end

local function add(row, first, fields)
  local names, sums = {}, rows[row] or {}
  for at = 1, fields do
    names[at] = ARGV[first + 2 * at - 2]
  end
  for at, before in ipairs(redis.call('HMGET', row, unpack(names))) do
    local sum = sums[names[at]] or tonumber(before or 0)
    sums[names[at]] = sum + tonumber(ARGV[first + 2 * at - 1])
  end
  rows[row] = sums
end

local at, others = 5, 0
for key = 3, #KEYS, 2 do
  local subject, model, fields = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  if list(subject, model) then
    add(KEYS[key], at + 3, fields)
  else
    others = others + 1
    list('', model)
    add(KEYS[key + 1], at + 3, fields)
  end
  at = at + 3 + 2 * fields
end

local function write(key, values, form)
  local flat = {}
  for name, value in pairs(values) do
    flat[#flat + 1] = name
    flat[#flat + 1] = string.format(form, value)
  end
  redis.call('HSET', key, unpack(flat))
  redis.call('EXPIREAT', key, expires)
end

write(last, {[writer] = number}, '%.0f')
write(subjects, models, '%s')
for row, sums in pairs(rows) do
  write(row, sums, '%.0f')
end
return others
