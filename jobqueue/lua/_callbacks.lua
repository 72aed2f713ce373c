-- The outbox of callbacks: one entry for each end of a job that its submitter wants to be told of.
-- include: _clock

-- record_callback(id, key, event, iso, value, webhooks, trace): writes the entry for the end of a job whose field
-- `wm_callback` asks for it; arguments as for end_job (_ends.lua). With `webhooks`, a plain RQ client's list
-- (rq.webhook.Webhook), it writes an entry for each of those that ask for it instead; `trace` is then the traceback of a
-- failed job, zlib-compressed, in base64.
local function record_callback(id, key, event, iso, value, webhooks, trace)
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
  -- Of a job; and how much of its call is kept, to tell its function.
  local MAX_WEBHOOKS, MAX_CALL_BYTES = 20, 4096

  -- Whether a list from JSON has a word.
  local function includes(list, word)
    if type(list) ~= 'table' then return false end
    for _, each in ipairs(list) do
      if each == word then return true end
    end
    return false
  end

  local fields = redis.call('HMGET', key, 'wm_callback', 'wm_callback_last', 'origin', 'description', 'wm_attempts',
    'started_at', 'wm_reason', 'enqueued_at', 'data', 'wm_trace', 'wm_lease')

  -- `place` tells the entries of one end apart; `add_fields` gets a function that adds a field.
  local function add_entry(url, host, place, add_fields)
    local now = clock('')
    local waiting, lane = OUTBOX .. ':waiting', lane_of(host)
    local waiting_for_host, fetched = redis.call('ZCARD', lane), is_fetched(host)
    if waiting_for_host >= (fetched and MAX_FOR_LISTENER or MAX_WAITING_FOR_HOST)
      or not fetched and redis.call('ZCARD', waiting) >= MAX_WAITING then
      redis.call('HINCRBY', OUTBOX .. ':counts', 'dropped', 1)
      return
    end
    -- The time makes it another one for each run, and for each job that has the id.
    local created_ms = string.format('%.0f', now * 1000 + place)
    local callback_id = id .. '_' .. created_ms .. '_' .. event
    local entry = {'job', id, 'event', event, 'time', iso, 'url', url, 'host', host, 'queue', fields[3] or '',
      'function', fields[4] or '', 'attempts', fields[5] or (fields[6] and '1' or '0'), 'tries', '0'}
    local function add(name, text) entry[#entry + 1] = name; entry[#entry + 1] = text end
    if event ~= 'finished' then add('reason', fields[7] or '') end
    if fields[10] then
      add('span', fields[10])
      add('run', fields[11] or '')
    end
    add_fields(add, waiting_for_host)
    redis.call('HSET', entry_of(callback_id), unpack(entry))
    redis.call('HSET', key, 'wm_callback_last', callback_id)
    if fetched then
      redis.call('EXPIRE', entry_of(callback_id), LISTENER_SECONDS)
      redis.call('ZADD', lane, now, callback_id)
      redis.call('EXPIRE', lane, LISTENER_SECONDS)
      return
    end
    redis.call('ZADD', waiting, created_ms, callback_id)
    local before = place == 0 and fields[2]
    if before and redis.call('ZSCORE', waiting, before) then
      redis.call('HSET', entry_of(before), 'next', callback_id)
      redis.call('ZADD', lane, now + HELD_SECONDS, callback_id)
    else
      redis.call('ZADD', lane, now, callback_id)
    end
    schedule_host(host, now)
  end

  -- Host and port of a URL; nil if it is none.
  local function host_of(url)
    local scheme, host = string.match(url, '^([Hh][Tt][Tt][Pp][Ss]?)://([^/?#]+)')
    if not host then return nil end
    host = string.lower(string.match(host, '[^@]*$'))
    if string.find(host, ':%d+$') then return host end
    return host .. (string.lower(scheme) == 'https' and ':443' or ':80')
  end

  local readable, asked = pcall(cjson.decode, webhooks or fields[1] or '')
  if not readable or type(asked) ~= 'table' then return end
  if webhooks then
    for place = 1, math.min(#asked, MAX_WEBHOOKS) do
      local webhook = asked[place]
      local wanted = type(webhook) == 'table' and webhook.job_status == event and type(webhook.url) == 'string'
      local host = wanted and host_of(webhook.url)
      if host then
        add_entry(webhook.url, host, place, function(add)
          add('webhook', cjson.encode(webhook))
          add('enqueued_at', fields[8] or '')
          add('call', string.sub(fields[9] or '', 1, MAX_CALL_BYTES))
          if trace and trace ~= '' then add('trace', trace) end
        end)
      end
    end
    return
  end
  if not includes(asked.events, event) then return end
  if type(asked.url) ~= 'string' or type(asked.host) ~= 'string' then return end
  add_entry(asked.url, asked.host, 0, function(add, waiting_for_host)
    if value and includes(asked.include, 'result') then
      local fits = #value <= MAX_RESULT_BASE64 and waiting_for_host < MAX_WAITING_WITH_RESULTS
      add(fits and 'result' or 'result_omitted', fits and value or '1')
    end
  end)
end
