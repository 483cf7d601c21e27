-- Reads the entry at KEYS[1] or, if there is none, takes the lease at KEYS[2]
-- with the token ARGV[1] for ARGV[2] milliseconds. An entry whose SHA-1 is
-- ARGV[3] counts as none. Answers the LeaseState, the milliseconds that the
-- entry, the lease or the Hold lasts, and the value.
local value = redis.call('GET', KEYS[1])
if value and (ARGV[3] == '' or redis.sha1hex(value) ~= ARGV[3]) then
	return {0, redis.call('PTTL', KEYS[1]), value}
end
local lease = redis.call('GET', KEYS[2])
if lease == 'H' then
	return {3, redis.call('PTTL', KEYS[2])}
end
if lease and not owns(lease, ARGV[1]) then
	return {2, redis.call('PTTL', KEYS[2])}
end
local kind = 'L'
if value then
	kind = 'D' .. ARGV[3]
end
redis.call('SET', KEYS[2], kind .. ARGV[1], 'PX', ARGV[2])
return {1, tonumber(ARGV[2])}
