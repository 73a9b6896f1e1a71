-- Cancel a job that is queued or running; return how it stands.
local id = ARGV[2]
local job = load(id)
if not job then return false end
if job.state == 'queued' then
  dequeue(job)
  conclude(job, 'cancelled', '')
elseif job.state == 'running' then
  leave_run(job)
  drop_pieces_of_run(job)
  conclude(job, 'cancelled', '')
  work(job.route)
end
return view(id)
