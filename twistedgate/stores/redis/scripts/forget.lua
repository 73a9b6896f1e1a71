-- Throw the result of a finished job away; return how it stands.
local id = ARGV[2]
local job = load(id)
if not job then return false end
if job.finished and not job.forgotten and not is_gone(job) then
  drop_request(job)
  drop_result(job)
  call('HSET', job.key, 'forgotten', 1)
  changed(job)
end
return view(id)
