-- Notes the use of a session in its subject's list; the latest use stays.
-- KEYS: list
-- ARGV: time of use in ms, entry
return redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
