-- Describes a session; that is no use of it.
-- KEYS: session
-- Answers subject, title, time, head, tokens, ms to live (below 0: for ever); subject is false
-- if there is no session.
local session = redis.call('HMGET', KEYS[1], 'subject', 'title', 'time', 'head', 'tokens')
session[6] = redis.call('PTTL', KEYS[1])
return session
