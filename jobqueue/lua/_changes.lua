-- What changes in jobs, for those who watch them (docs/decisions/0034): entries of one stream, which is capped. They are
-- written only while a manager watches (watch_changes.lua); without one, a call of a script costs one EXISTS.
-- Needs _tolerant.
local MAX_CHANGES = 30000
-- Asked once in each call.
local is_watched

-- write_change(id, ...): adds an entry of these fields and values. What stands in the way of the stream must not stand in
-- the way of a job: the stream is deleted then, and those who watch see that something is missing.
local function write_change(id, ...)
  local changes = prefix .. ':wm:changes'
  if failed_with(raw_pcall('XADD', changes, 'MAXLEN', '~', MAX_CHANGES, '*', 'id', id, ...)) then
    raw_pcall('DEL', changes)
  end
end

-- has_watchers(): whether changes are to be written.
local function has_watchers()
  if is_watched == nil then is_watched = raw_call('EXISTS', prefix .. ':wm:watched') == 1 end
  return is_watched
end

-- note_change(id, key, status): tells that a job has this status now ('deleted' if it is about to be deleted). Its record
-- must still be there, and the script must have removed or written something before.
local function note_change(id, key, status)
  if not has_watchers() then return end
  local queue, labels = unpack(call_own('HMGET', key, 'origin', 'wm_labels') or {})
  if labels then
    write_change(id, 'status', status, 'queue', queue or '', 'labels', labels)
  else
    write_change(id, 'status', status, 'queue', queue or '')
  end
end
