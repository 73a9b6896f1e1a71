-- Give back claims (pairs of id and fence) that nobody wants any more, as if they had never been taken.
for at = 2, #ARGV, 2 do
  local job = load(ARGV[at])
  if job and job.state == 'running' and job.fence == tonumber(ARGV[at + 1]) then unbegin(job) end
end
return 1
