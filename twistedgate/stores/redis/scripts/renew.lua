-- A runner lives; return what is under way there.
insist()
beat()
renew(ARGV[2])
return call('SMEMBERS', P .. 'runs:' .. ARGV[2])
