-- What happens to a job that was lost with its worker. Needs _push, _outcomes and _places.
-- include: _limits

-- take_back(id, key, max_losses, failure_ttl, trace, now, iso): queues a started job again, at the head; ends it if it
-- was lost too often, or cancelled. One that was lost too often and has an `on_failure` of RQ's is queued once more:
-- the worker that gets it calls that and nothing else, and ends it. `wm_abandoned` is the time at which it was queued
-- for this, so that it runs if RQ enqueues it again. `failure_ttl` is that of jobs that set none, `trace` a traceback
-- (zlib-compressed, in base64). Returns {id, worker, 'queued' | 'failed' | 'stopped'}.
local function take_back(id, key, max_losses, failure_ttl, trace, now, iso)
  local fields = redis.call('HMGET', key, 'status', 'origin', 'worker_name', 'wm_losses', 'wm_cancel', 'failure_ttl',
    'rate_limit_key', 'ended_at', 'failure_callback_name', 'wm_abandoned', 'enqueued_at')
  local queue, worker = fields[2] or '', fields[3] or ''
  if queue == '' then queue = 'default' end
  leave_registries(id, queue, fields[8], fields[1])
  local losses = number(fields[4], 0, 0, 1e9) + 1
  local outcome = 'queued'
  redis.call('HSET', key, 'wm_losses', losses)
  local was_to_call = fields[10] and fields[10] == fields[11]
  local is_to_call = not fields[5] and (fields[9] or '') ~= '' and not was_to_call
  if losses >= max_losses and is_to_call then
    redis.call('HSET', key, 'wm_abandoned', iso)
    queue_job(id, key, queue, true, iso)
  elseif fields[5] or losses >= max_losses then
    outcome = fields[5] and 'stopped' or 'failed'
    record_failure(id, key, queue, {
      status = outcome, reason = 'worker_lost', trace = trace, value = '', type = '2', worker = worker,
      ttl = ttl_of(fields[6], failure_ttl), now = now, iso = iso,
    })
    give_back_place(id, fields[7], now, iso)
    if outcome == 'failed' then note_parents({id}, 'failed') end
    redis.call('HINCRBY', prefix .. ':wm:' .. outcome, 'lost', 1)
  else
    note_attempt_error(key, iso, worker, 'worker_lost', '')
    queue_job(id, key, queue, true, iso)
  end
  redis.call('HINCRBY', prefix .. ':wm:losses', outcome, 1)
  return {id, worker, outcome}
end
