-- What a request to create a session was answered, if it was.
-- KEYS: answer
-- Answers the digest of the request and what else the answer said, or false and false.
return redis.call('HMGET', KEYS[1], 'digest', 'said')
