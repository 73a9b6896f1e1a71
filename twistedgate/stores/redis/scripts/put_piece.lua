-- Keep a piece of a body for an hour, or until the job that it is of lays hold of it.
local _, body, number, piece = unpack(ARGV)
-- A body that is written anew.  Where there is none, the first write is one that a full Redis refuses.
if number == '0' and call('EXISTS', P .. body) == 1 then call('UNLINK', P .. body) end
call('HSET', P .. body, number, piece)
call('PEXPIRE', P .. body, 3600000)
return 1
