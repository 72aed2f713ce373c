-- The outbox of callbacks: one entry for each end of a job that its submitter wants to be told of.
-- include: _clock

-- record_callback(id, key, event, iso, value): writes the entry for the end of a job whose field `wm_callback` asks for
-- it; arguments as for end_job (_ends.lua).
local function record_callback(id, key, event, iso, value)
  -- All of this stands in here, so that scripts make its functions only for jobs that ask for a callback.
-- include: _lanes
  -- What waits at most: on the shard, and for one host. Beyond it, the newest are dropped.
  local MAX_WAITING, MAX_WAITING_FOR_HOST = 50000, 10000
  -- A result is left out if it is longer (20 KiB in base64), or while so many wait for the host.
  local MAX_RESULT_BASE64, MAX_WAITING_WITH_RESULTS = 27308, 1000
  -- How long an entry waits for an earlier one of its job, whose end releases it: longer than any is tried.
  local HELD_SECONDS = 100 * 86400
  -- What a listener fetches itself: so many entries, for so long.
  local MAX_FOR_LISTENER, LISTENER_SECONDS = 1000, 86400

  -- Whether a list from JSON has a word.
  local function includes(list, word)
    if type(list) ~= 'table' then return false end
    for _, each in ipairs(list) do
      if each == word then return true end
    end
    return false
  end

  local fields = redis.call('HMGET', key, 'wm_callback', 'wm_callback_last', 'origin', 'description', 'wm_attempts',
    'started_at', 'wm_reason')
  local readable, asked = pcall(cjson.decode, fields[1] or '')
  if not readable or type(asked) ~= 'table' or not includes(asked.events, event) then return end
  if type(asked.url) ~= 'string' or type(asked.host) ~= 'string' then return end
  local host, now = asked.host, clock('')
  local waiting, lane = OUTBOX .. ':waiting', lane_of(host)
  local waiting_for_host, fetched = redis.call('ZCARD', lane), is_fetched(host)
  if waiting_for_host >= (fetched and MAX_FOR_LISTENER or MAX_WAITING_FOR_HOST)
    or not fetched and redis.call('ZCARD', waiting) >= MAX_WAITING then
    redis.call('HINCRBY', OUTBOX .. ':counts', 'dropped', 1)
    return
  end
  -- The time makes it another one for each run, and for each job that has the id.
  local created_ms = string.format('%.0f', now * 1000)
  local callback_id = id .. '_' .. created_ms .. '_' .. event
  local entry = {'job', id, 'event', event, 'time', iso, 'url', asked.url, 'host', host, 'queue', fields[3] or '',
    'function', fields[4] or '', 'attempts', fields[5] or (fields[6] and '1' or '0'), 'tries', '0'}
  local function add(name, text) entry[#entry + 1] = name; entry[#entry + 1] = text end
  if event ~= 'finished' then add('reason', fields[7] or '') end
  if value and includes(asked.include, 'result') then
    local fits = #value <= MAX_RESULT_BASE64 and waiting_for_host < MAX_WAITING_WITH_RESULTS
    add(fits and 'result' or 'result_omitted', fits and value or '1')
  end
  redis.call('HSET', entry_of(callback_id), unpack(entry))
  redis.call('HSET', key, 'wm_callback_last', callback_id)
  if fetched then
    redis.call('EXPIRE', entry_of(callback_id), LISTENER_SECONDS)
    redis.call('ZADD', lane, now, callback_id)
    redis.call('EXPIRE', lane, LISTENER_SECONDS)
    return
  end
  redis.call('ZADD', waiting, created_ms, callback_id)
  local before = fields[2]
  if before and redis.call('ZSCORE', waiting, before) then
    redis.call('HSET', entry_of(before), 'next', callback_id)
    redis.call('ZADD', lane, now + HELD_SECONDS, callback_id)
  else
    redis.call('ZADD', lane, now, callback_id)
  end
  schedule_host(host, now)
end
