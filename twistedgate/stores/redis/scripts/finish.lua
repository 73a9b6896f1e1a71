-- Say how a run ended; 0 if the claim is not valid any more.
local _, saying, id, fence, state, reason, status, head, result, is_large = unpack(ARGV)
local job = load(id)
if not job then return 0 end
if job.state ~= 'running' or job.fence ~= tonumber(fence) then
  -- The same is said twice where the first answer did not arrive.
  if call('HGET', job.key, 'ended') == saying then return 1 end
  call('UNLINK', P .. 'body:' .. id .. ':result:' .. fence)
  return 0
end
leave_run(job)
call('HSET', job.key, 'ended', saying)
if state == 'succeeded' then
  drop_request(job)
  call('HSET', job.key, 'status', status, 'head', head)
  local pieces = P .. 'body:' .. id .. ':result:' .. fence
  if is_large == '1' and call('EXISTS', pieces) == 1 then
    call('RENAME', pieces, P .. 'body:' .. id .. ':result')
    call('PERSIST', P .. 'body:' .. id .. ':result')
  elseif result ~= '' then
    call('HSET', job.key, 'result', result)
  end
else
  drop_pieces_of_run(job)
  if status ~= '' then call('HSET', job.key, 'status', status) end
end
conclude(job, state, reason)
work(job.route)
return 1
