-- audit(author, action, target, before, after): adds a change to the audit stream, and drops the oldest beyond 10,000.
-- `author` is a JSON object; '' for a change that is not to be noted. `before` and `after` are JSON objects, or ''.
local function audit(author, action, target, before, after)
  if author == '' then return end
  redis.call('XADD', prefix .. ':wm:audit', 'MAXLEN', '=', 10000, '*', 'author', author, 'action', action,
    'target', target, 'before', before, 'after', after)
end
