-- End queued jobs that waited too long.
local ended = {}
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now, 'LIMIT', 0, BATCH)) do
  local job = load(id)
  if job and job.state == 'queued' then
    dequeue(job)
    conclude(job, 'failed', 'expired-in-queue')
    ended[#ended + 1] = {id, job.route}
  else
    if not job then dequeue_lost(id) end
    call('ZREM', P .. 'deadlines', id)
  end
end
return {#ended == BATCH and 1 or 0, ended}
