-- Keep a piece of a body for an hour, or until the job that it is of lays hold of it.
local _, body, number, piece = unpack(ARGV)
if number == '0' then call('UNLINK', P .. body) end
call('HSET', P .. body, number, piece)
call('PEXPIRE', P .. body, 3600000)
return 1
