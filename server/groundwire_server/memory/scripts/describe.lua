-- Describes a session; that is no use of it.
-- KEYS: session
-- Answers the fields, in this order, and ms to live (below 0: for ever); the subject is false if
-- there is no session.
local session = redis.call('HMGET', KEYS[1], 'subject', 'title', 'time', 'head', 'tokens',
  'birth', 'listed', 'base', 'up', 'first', 'last', 'answers', 'bytes', 'summary', 'extracted')
session[#session + 1] = redis.call('PTTL', KEYS[1])
return session
