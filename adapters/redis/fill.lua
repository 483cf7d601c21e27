-- Stores ARGV[2] at KEYS[1], to live for ARGV[3] milliseconds, or for ever if
-- that is 0, if the lease at KEYS[2] is that of the token ARGV[1], and KEYS[1]
-- is absent or what the lease was granted despite. Ends the lease, and
-- publishes the key to the channel ARGV[4] if that is not empty. Answers
-- whether it did.
local lease = redis.call('GET', KEYS[2])
if not owns(lease, ARGV[1]) then
	return 0
end
local value = redis.call('GET', KEYS[1])
if value and lease ~= 'D' .. redis.sha1hex(value) .. ARGV[1] then
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
