-- Take from dead runners what they had; the first call of a sweep also tells of what has come due.
insist()
renew(ARGV[2])
if ARGV[3] == '1' then
  for _, route in ipairs(call('SMEMBERS', P .. 'routes')) do
    if call('ZCOUNT', P .. 'later:' .. route, '-inf', now) > 0 then work(route) end
    leave_lost(P .. 'running:' .. route)
  end
  leave_lost(P .. 'runs:' .. ARGV[2])
end
if not beat() then return {0, 0, {}} end

local left, put_back, interrupted = BATCH, 0, {}
for _, runner in ipairs(call('ZRANGEBYSCORE', P .. 'runners', '-inf', now, 'LIMIT', 0, BATCH)) do
  for _, id in ipairs(call('SRANDMEMBER', P .. 'runs:' .. runner, left)) do
    local job = load(id)
    left = left - 1
    if not job then
      call('SREM', P .. 'runs:' .. runner, id)
    elseif lapse(job) == 'put_back' then
      put_back = put_back + 1
    else
      interrupted[#interrupted + 1] = {id, job.route}
    end
  end
  if left == 0 then return {1, put_back, interrupted} end
  call('DEL', P .. 'runs:' .. runner)
  call('ZREM', P .. 'runners', runner)
  call('HDEL', P .. 'epochs', runner)
end
return {0, put_back, interrupted}
