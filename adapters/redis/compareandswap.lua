-- Replaces the value of KEYS[1] by ARGV[2] if it is ARGV[1], to live for
-- ARGV[3] milliseconds, or for ever if that is 0. Then it ends the lease at
-- KEYS[2], and publishes the key to the channel ARGV[4] if that is not empty.
-- Answers whether it did.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if ARGV[3] == '0' then
	redis.call('SET', KEYS[1], ARGV[2])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
redis.call('UNLINK', KEYS[2])
if ARGV[4] ~= '' then
	redis.call('PUBLISH', ARGV[4], KEYS[1])
end
return 1
