import { Script } from '../script.ts'

/** How many arguments of `UPDATE` a key has. */
export const UPDATE_ARGUMENTS = 3

/**
 * `process lease keep`, and `held wanted max` for each key. The first key is a sorted set of the processes by the end of their
 * lease. Each further one is a hash with the counts of the processes. Returns `1` if the process was alive, and the counts.
 */
export const UPDATE = new Script(`
local processes, process, keep = KEYS[1], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function isAlive(name)
  local leaseEnd = redis.call('ZSCORE', processes, name)
  return leaseEnd and tonumber(leaseEnd) > now
end
local function countOf(key, held, wanted, max)
  if wanted == held then return held end
  local others = 0
  local counts = redis.call('HGETALL', key)
  for i = 1, #counts, 2 do
    if counts[i] ~= process then
      if isAlive(counts[i]) then others = others + tonumber(counts[i + 1])
      else redis.call('HDEL', key, counts[i]) end
    end
  end
  return math.max(held, math.min(wanted, max - others))
end
local results = {isAlive(process) and 1 or 0}
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
redis.call('ZADD', processes, now + tonumber(ARGV[2]), process)
redis.call('PEXPIRE', processes, keep)
for i = 2, #KEYS do
  local at = 3 + (i - 2) * ${UPDATE_ARGUMENTS}
  local count = countOf(KEYS[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
  if count == 0 then redis.call('HDEL', KEYS[i], process)
  else
    redis.call('HSET', KEYS[i], process, count)
    redis.call('PEXPIRE', KEYS[i], keep)
  end
  results[i] = count
end
return results`)

/** `process`, on the sorted set of the processes. */
export const END = new Script("return redis.call('ZREM', KEYS[1], ARGV[1])")
