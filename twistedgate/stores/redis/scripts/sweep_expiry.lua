-- Forget what a finished job was when its time is over, and that it was after as long again.
insist()
local forgotten, seen = 0, call('ZRANGEBYSCORE', P .. 'expiry', '-inf', now, 'LIMIT', 0, BATCH)
for _, id in ipairs(seen) do
  local job = load(id)
  if not job or not job.finished then
    call('ZREM', P .. 'expiry', id)
  elseif call('HSETNX', job.key, 'gone', 1) == 1 then
    drop_request(job)
    drop_result(job)
    local owner, key = unpack(call('HMGET', job.key, 'owner', 'key'))
    call('ZREM', P .. 'all', id)
    call('ZREM', P .. 'owner:' .. owner, id)
    if key ~= '' and call('GET', P .. 'key:' .. key) == id then call('DEL', P .. 'key:' .. key) end
    call('ZADD', P .. 'expiry', job.finished + 2 * job.ttl, id)
    changed(job)
    forgotten = forgotten + 1
  elseif call('ZSCORE', P .. 'callbacks', id) then
    -- Somebody is still to be told of its end: callback_ended removes it.
    call('ZREM', P .. 'expiry', id)
  else
    call('DEL', job.key)
    call('ZREM', P .. 'expiry', id)
  end
end
return {#seen == BATCH and 1 or 0, forgotten}
