-- Saves how far running jobs are, and what they have logged and printed.
-- KEYS[1]  shard prefix
-- ARGV[1]  lines that a log keeps, ARGV[2] how many of them are the first ones, ARGV[3] its ttl, seconds
-- ARGV[4+] for each job: id | token of its lease | progress as JSON ('' for none) | attempt | number of lines, then for
--          each: when it came, ms | its stream | text
-- Returns  number of jobs for which nothing was written: their lease or record is another one's
local prefix = KEYS[1]
-- include: _tolerant
-- include: _outcomes
-- include: _changes
local most, head, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local refused, at = 0, 4
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
      local number = redis.call('HINCRBY', key, 'wm_log_lines', lines) - lines
      for i = at + 5, at + 4 + lines * 3, 3 do
        number = number + 1
        redis.call('XADD', log, '*', 'number', number, 'at', ARGV[i], 'attempt', attempt, 'stream', ARGV[i + 1],
          'text', ARGV[i + 2])
      end
      local excess = redis.call('XLEN', log) - most
      if excess > 0 then
        for i, entry in ipairs(redis.call('XRANGE', log, '-', '+', 'COUNT', head + excess)) do
          if i > head then redis.call('XDEL', log, entry[1]) end
        end
      end
      redis.call('EXPIRE', log, ttl)
    end
    -- The lines themselves are read by those who watch this job.
    if has_watchers() then write_change(id, 'progress', progress, 'lines', lines) end
  end
  at = at + 5 + lines * 3
end
return refused
