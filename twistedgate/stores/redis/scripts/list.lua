-- Return jobs of an index, newest first, from below an age on: how far was looked, whether that was all, views.
local _, index, below, state, limit = unpack(ARGV)
local found, at = {}, below
for _ = 1, 20 do
  local ids = call('ZREVRANGEBYSCORE', P .. index, '(' .. at, '-inf', 'WITHSCORES', 'LIMIT', 0, 50)
  for n = 1, #ids, 2 do
    local seen = of_job(ids[n], 'state', 'finished', 'ttl')
    local gone = seen[2] and (tonumber(seen[2]) or 0) + (tonumber(seen[3]) or 0) <= now
    if seen[1] and not gone and (state == '' or state == seen[1]) then
      if #found == tonumber(limit) then return {at, 0, found} end
      found[#found + 1] = view(ids[n])
    end
    at = ids[n + 1]
  end
  if #ids < 100 then return {at, 1, found} end
end
return {at, 0, found}
