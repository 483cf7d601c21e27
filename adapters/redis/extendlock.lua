-- Gives the lock at KEYS[1] another ARGV[2] milliseconds if the token ARGV[1]
-- holds it, and the fence at KEYS[2] another ARGV[3]. Answers whether it did.
if holder(redis.call('GET', KEYS[1])) ~= ARGV[1] then
	return 0
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
