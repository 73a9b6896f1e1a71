-- Keep a job, and claim it where a slot is free and nothing comes before it; or say why not.
local _, runner, epoch, id, route, owner, caller, key, fingerprint, new, secret, request, is_large,
      ttl, patience, again, priority, callback, max_queued, max_of_caller, concurrency = unpack(ARGV)
if is_stale(runner, epoch) then return redis.error_reply('STALE the connection was given up') end

if key ~= '' then
  local earlier = call('GET', P .. 'key:' .. key)
  local job = earlier and load(earlier)
  if job and not is_gone(job) then
    if call('HGET', job.key, 'fingerprint') ~= fingerprint then return {'mismatch'} end
    -- Whoever submitted it may not know that it was kept: now somebody does.
    call('HSET', job.key, 'replayed', 1)
    return {'replayed', view(earlier)}
  end
end

promote(route)
local first, score = first_ready(route)
local at_once = tonumber(concurrency) > call('SCARD', P .. 'running:' .. route)
                and (not first or score > -tonumber(priority))
if not at_once then
  if call('ZCARD', P .. 'waiting:' .. route) >= tonumber(max_queued) then return {'queue-full'} end
  local share = call('HGET', P .. 'shares:' .. route, caller)
  if tonumber(share or 0) >= tonumber(max_of_caller) then return {'caller-full'} end
end

local seq = call('INCR', P .. 'seq')
local job = {id = id, key = P .. 'job:' .. id, state = 'queued', route = route, caller = caller, seq = seq,
             priority = tonumber(priority), patience = tonumber(patience), submitted = now}
call('HSET', job.key, 'new', new, 'state', 'queued', 'route', route, 'owner', owner, 'caller', caller,
     'ttl', ttl, 'patience', patience, 'again', again, 'priority', priority, 'callback', callback,
     'submitted', now, 'seq', seq, 'key', key, 'fingerprint', fingerprint, 'version', 1)
if secret ~= '' then call('HSET', job.key, 'secret', secret) end
if is_large == '1' then
  call('PERSIST', P .. 'body:' .. id .. ':request')
elseif request ~= '' then
  call('HSET', job.key, 'request', request)
end
if key ~= '' then call('SET', P .. 'key:' .. key, id) end
call('ZADD', P .. 'all', seq, id)
call('ZADD', P .. 'owner:' .. owner, seq, id)
call('SADD', P .. 'serves:' .. runner, route)
if at_once then
  return {'accepted', string.format('%.0f', now), begin(job, runner)}
end
enqueue(job, now)
call('PUBLISH', P .. 'work', route)
return {'accepted', string.format('%.0f', now), false}
