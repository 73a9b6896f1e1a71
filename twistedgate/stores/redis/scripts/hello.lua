-- A runner has a new connection: nothing that an earlier one still sends counts, claims that got lost with it
-- are undone, and submissions whose answer got lost are withdrawn, unless somebody knows of them.
local _, runner, epoch, withdrawn = unpack(ARGV)
if is_stale(runner, epoch) then return redis.error_reply('STALE the connection was given up') end
insist()
call('HSET', P .. 'epochs', runner, epoch)
beat()
renew(runner)

local function erase(job)
  call('UNLINK', job.key, P .. 'body:' .. job.id .. ':request')
  call('ZREM', P .. 'all', job.id)
  call('ZREM', P .. 'owner:' .. job.owner, job.id)
  if job.idempotency ~= '' then call('DEL', P .. 'key:' .. job.idempotency) end
end

for at = 5, 4 + tonumber(withdrawn) do
  local job = load(ARGV[at])
  local is_ours = job and job.state == 'running' and job.runner == runner and job.fence == 1
  if is_ours or job and job.state == 'queued' and not job.fence then
    local replayed
    job.owner, job.idempotency, replayed = unpack(call('HMGET', job.key, 'owner', 'key', 'replayed'))
    if not replayed then
      if is_ours then leave_run(job) else dequeue(job) end
      erase(job)
      work(job.route)
    end
  end
end

local held = {}
for at = 5 + tonumber(withdrawn), #ARGV do held[ARGV[at]] = true end
local undone = 0
for _, id in ipairs(call('SMEMBERS', P .. 'runs:' .. runner)) do
  local job = not held[id] and load(id)
  if job then
    unbegin(job)
    undone = undone + 1
  elseif not held[id] then
    call('SREM', P .. 'runs:' .. runner, id)
  end
end
return undone
