-- Deletes a session and its turns.
-- KEYS: session, turns
-- Answers the number of turns there were, or false if there is no session.
local head = redis.call('HGET', KEYS[1], 'head')
redis.call('UNLINK', KEYS[1], KEYS[2])
return head
