-- Stores ARGV[1] at KEYS[1], to live for ARGV[2] milliseconds, or for ever if
-- that is 0. Then it ends the lease at KEYS[2], and publishes the key to the
-- channel ARGV[3] if that is not empty.
if ARGV[2] == '0' then
	redis.call('SET', KEYS[1], ARGV[1])
else
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('UNLINK', KEYS[2])
if ARGV[3] ~= '' then
	redis.call('PUBLISH', ARGV[3], KEYS[1])
end
return 1
