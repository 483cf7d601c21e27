-- Ends the lease at KEYS[2] if it is that of the token ARGV[1]. Answers
-- whether it did.
if not owns(redis.call('GET', KEYS[2]), ARGV[1]) then
	return 0
end
return redis.call('UNLINK', KEYS[2])
