-- The outbox of callbacks: one entry for each end of a job that its submitter wants to be told of.
-- include: _clock

-- What the first job of a call that asks for a callback has made with make_callbacks.
local callbacks

-- make_callbacks(): makes {record = function, line_up = function}, of record_callback and line_up_callbacks below. All
-- of this stands in it, so that scripts make its functions only for jobs that ask for a callback.
local function make_callbacks()
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
  local WAITING = OUTBOX .. ':waiting'

  -- Entries that are written and stand in no lane yet, by their hosts; `waiting` is nil until it has been asked for.
  local now, hosts, waiting, entered, requests = clock(''), {}, nil, {}, {}

  -- Whether a list from JSON has a word.
  local function includes(list, word)
    if type(list) ~= 'table' then return false end
    for _, each in ipairs(list) do
      if each == word then return true end
    end
    return false
  end

  -- What is known of a host in this call: how many entries wait for it, and those that are to join its lane.
  local function host_named(name)
    local host = hosts[name]
    if not host then
      host = {waiting = redis.call('ZCARD', lane_of(name)), is_fetched = is_fetched(name), entries = {}}
      hosts[name] = host
    end
    return host
  end

  -- has_room(host): whether one more entry may wait for it.
  local function has_room(host)
    if host.is_fetched then return host.waiting < MAX_FOR_LISTENER end
    waiting = waiting or redis.call('ZCARD', WAITING)
    return host.waiting < MAX_WAITING_FOR_HOST and waiting < MAX_WAITING
  end

  -- Writes an entry. `place` tells the entries of one end apart; `add_fields` gets a function that adds a field.
  local function add_entry(id, key, event, iso, fields, url, name, place, add_fields)
    local host = host_named(name)
    if not has_room(host) then
      redis.call('HINCRBY', OUTBOX .. ':counts', 'dropped', 1)
      return
    end
    -- The time makes it another one for each run, and for each job that has the id.
    local created_ms = string.format('%.0f', now * 1000 + place)
    local callback_id = id .. '_' .. created_ms .. '_' .. event
    local entry = {'job', id, 'event', event, 'time', iso, 'url', url, 'host', name, 'queue', fields[3] or '',
      'function', fields[4] or '', 'attempts', fields[5] or (fields[6] and '1' or '0'), 'tries', '0'}
    local function add(field, text) entry[#entry + 1] = field; entry[#entry + 1] = text end
    if event ~= 'finished' then add('reason', fields[7] or '') end
    if fields[8] then
      add('span', fields[8])
      add('run', fields[9] or '')
    end
    add_fields(add, host)
    redis.call('HSET', entry_of(callback_id), unpack(entry))
    redis.call('HSET', key, 'wm_callback_last', callback_id)
    local due, before = now, place == 0 and fields[2]
    if host.is_fetched then
      redis.call('EXPIRE', entry_of(callback_id), LISTENER_SECONDS)
    else
      waiting = waiting + 1
      entered[#entered + 1] = created_ms
      entered[#entered + 1] = callback_id
      if before and redis.call('ZSCORE', WAITING, before) then
        redis.call('HSET', entry_of(before), 'next', callback_id)
        due = now + HELD_SECONDS
      end
    end
    host.waiting = host.waiting + 1
    host.entries[#host.entries + 1] = due
    host.entries[#host.entries + 1] = callback_id
  end

  -- Lets all entries wait in their lanes. In parts, because `unpack` returns some thousand values at most.
  local function line_up()
    local function add_all(key, entries)
      for first = 1, #entries, 2000 do
        redis.call('ZADD', key, unpack(entries, first, math.min(first + 1999, #entries)))
      end
    end
    add_all(WAITING, entered)
    for name, host in pairs(hosts) do
      if #host.entries > 0 then
        add_all(lane_of(name), host.entries)
        if host.is_fetched then redis.call('EXPIRE', lane_of(name), LISTENER_SECONDS) end
        schedule_host(name, now)
      end
    end
    hosts, waiting, entered = {}, nil, {}
  end

  -- Host and port of a URL; nil if it is none.
  local function host_of(url)
    local scheme, host = string.match(url, '^([Hh][Tt][Tt][Pp][Ss]?)://([^/?#]+)')
    if not host then return nil end
    host = string.lower(string.match(host, '[^@]*$'))
    if string.find(host, ':%d+$') then return host end
    return host .. (string.lower(scheme) == 'https' and ':443' or ':80')
  end

  -- A table from JSON; nil if it is none. Most jobs of a call ask for the same.
  local function request_of(text)
    if requests[text] == nil then
      local readable, asked = pcall(cjson.decode, text)
      requests[text] = readable and type(asked) == 'table' and asked
    end
    return requests[text] or nil
  end

  local function record_webhooks(id, key, event, iso, fields, webhooks, trace)
    local asked = request_of(webhooks) or {}
    local enqueued_at, call = unpack(redis.call('HMGET', key, 'enqueued_at', 'data'))
    for place = 1, math.min(#asked, MAX_WEBHOOKS) do
      local webhook = asked[place]
      local wanted = type(webhook) == 'table' and webhook.job_status == event and type(webhook.url) == 'string'
      local host = wanted and host_of(webhook.url)
      if host then
        add_entry(id, key, event, iso, fields, webhook.url, host, place, function(add)
          add('webhook', cjson.encode(webhook))
          add('enqueued_at', enqueued_at or '')
          add('call', string.sub(call or '', 1, MAX_CALL_BYTES))
          if trace and trace ~= '' then add('trace', trace) end
        end)
      end
    end
  end

  local function record(id, key, event, iso, value, webhooks, trace)
    local fields = redis.call('HMGET', key, 'wm_callback', 'wm_callback_last', 'origin', 'description', 'wm_attempts',
      'started_at', 'wm_reason', 'wm_trace', 'wm_lease')
    if webhooks then return record_webhooks(id, key, event, iso, fields, webhooks, trace) end
    local asked = request_of(fields[1] or '')
    if not asked or not includes(asked.events, event) then return end
    if type(asked.url) ~= 'string' or type(asked.host) ~= 'string' then return end
    add_entry(id, key, event, iso, fields, asked.url, asked.host, 0, function(add, host)
      if value and includes(asked.include, 'result') then
        local fits = #value <= MAX_RESULT_BASE64 and host.waiting < MAX_WAITING_WITH_RESULTS
        add(fits and 'result' or 'result_omitted', fits and value or '1')
      end
    end)
  end

  return {record = record, line_up = line_up}
end

-- line_up_callbacks(): lets the entries that this call has written wait to be sent. record_callback does it itself,
-- unless its argument `later` is set.
local function line_up_callbacks()
  if callbacks then callbacks.line_up() end
end

-- record_callback(id, key, event, iso, value, webhooks, trace, later): writes the entry for the end of a job whose field
-- `wm_callback` asks for it; arguments as for end_job (_ends.lua). With `webhooks`, a plain RQ client's list
-- (rq.webhook.Webhook), it writes an entry for each of those that ask for it instead; `trace` is then the traceback of a
-- failed job, zlib-compressed, in base64.
local function record_callback(id, key, event, iso, value, webhooks, trace, later)
  callbacks = callbacks or make_callbacks()
  callbacks.record(id, key, event, iso, value, webhooks, trace)
  if not later then line_up_callbacks() end
end
