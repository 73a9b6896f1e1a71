-- A runner ends in order: what it still has is for the next sweep, at once.
call('ZADD', P .. 'runners', now, ARGV[2])
return 1
