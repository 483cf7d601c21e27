-- Replaces the value of KEYS[1] by ARGV[2] if it is ARGV[1], to live for
-- ARGV[3] milliseconds, or for ever if that is 0. Answers whether it did.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if ARGV[3] == '0' then
	redis.call('SET', KEYS[1], ARGV[2])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
