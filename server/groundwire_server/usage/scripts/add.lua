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
redis.call('HSET', last, writer, number)

-- A list of models has a semicolon before, between and after them; no name has one.
local function listed(subject, model, models)
  if not models then
    redis.call('HSET', subjects, subject, ';' .. model .. ';')
  elseif not string.find(models, ';' .. model .. ';', 1, true) then
    redis.call('HSET', subjects, subject, models .. model .. ';')
  end
end

local function add(row, first, fields)
  local names, sums = {}, {}
  for at = 1, fields do
    names[at] = ARGV[first + 2 * at - 2]
  end
  for at, before in ipairs(redis.call('HMGET', row, unpack(names))) do
    sums[2 * at - 1] = names[at]
    sums[2 * at] = string.format('%.0f', tonumber(before or 0) + tonumber(ARGV[first + 2 * at - 1]))
  end
  redis.call('HSET', row, unpack(sums))
  redis.call('EXPIREAT', row, expires)
end

local at, others = 5, 0
for key = 3, #KEYS, 2 do
  local subject, model, fields = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local row = KEYS[key]
  local models = redis.call('HGET', subjects, subject)
  if not models and subject ~= '' and redis.call('HLEN', subjects) >= most then
    subject, row, others = '', KEYS[key + 1], others + 1
    models = redis.call('HGET', subjects, subject)
  end
  listed(subject, model, models)
  add(row, at + 3, fields)
  at = at + 3 + 2 * fields
end
redis.call('EXPIREAT', subjects, expires)
redis.call('EXPIREAT', last, expires)
return others
