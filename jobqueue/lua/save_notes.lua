-- Saves how far running jobs are, and what they have logged.
-- KEYS[1]  shard prefix
-- ARGV[1]  lines that a log keeps, ARGV[2] its ttl, seconds
-- ARGV[3+] for each job: id | token of its lease | progress as JSON ('' for none) | attempt | number of lines, then for
--          each: when it was logged, ms | text
-- Returns  number of jobs for which nothing was written: their lease or record is another one's
local prefix = KEYS[1]
-- include: _tolerant
-- include: _outcomes
local refused, at = 0, 3
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')
while at <= #ARGV do
  local id, token, progress, attempt, count = unpack(ARGV, at, at + 4)
  local key, lines = prefix .. ':job:' .. id, math.max(0, tonumber(count))
  -- A job that has just ended has no lease any more, and its record still says whose it was.
  if not is_leased_by(key, token) then
    refused = refused + 1
  else
    if progress ~= '' then redis.call('HSET', key, 'wm_progress', progress) end
    if lines > 0 then
      local log = prefix .. ':wm:log:' .. id
      redis.call('HINCRBY', key, 'wm_log_lines', lines)
      for i = at + 5, at + 4 + lines * 2, 2 do
        redis.call('XADD', log, 'MAXLEN', '=', ARGV[1], '*', 'at', ARGV[i], 'attempt', attempt, 'text', ARGV[i + 1])
      end
      redis.call('EXPIRE', log, ARGV[2])
    end
  end
  at = at + 5 + lines * 2
end
return refused
