-- Gives the lease at KEYS[2] another ARGV[2] milliseconds if it is that of the
-- token ARGV[1]. Answers whether it did.
if not owns(redis.call('GET', KEYS[2]), ARGV[1]) then
	return 0
end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
