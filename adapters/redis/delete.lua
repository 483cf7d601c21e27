-- Removes the entries at the first half of KEYS, and ends their leases at the
-- second. Publishes the keys to the channel ARGV[1] if that is not empty. If it
-- is, tracking tells of them; but where there is a lease and no entry, it has to
-- see one that comes and goes, as somebody may wait for the lease.
local n = #KEYS / 2
if redis.call('EXISTS', unpack(KEYS, n + 1)) == 0 then
	redis.call('UNLINK', unpack(KEYS, 1, n))
else
	for i = 1, n do
		local removed = redis.call('UNLINK', KEYS[i])
		if redis.call('UNLINK', KEYS[n + i]) > removed and ARGV[1] == '' then
			redis.pcall('SET', KEYS[i], '') -- may be refused to this user
			redis.call('UNLINK', KEYS[i])
		end
	end
end
if ARGV[1] ~= '' then
	for i = 1, n do
		redis.call('PUBLISH', ARGV[1], KEYS[i])
	end
end
return 1
