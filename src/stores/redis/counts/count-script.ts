import { Script } from '../script.ts'

/** How many arguments of `UPDATE` a key has. */
export const UPDATE_ARGUMENTS = 3

/**
 * `process lease keep`, and `held wanted max` for each key. The first key is a sorted set of the processes by the end
 * of their lease. Each further one is a hash with the counts of the processes. Returns `1` if the process was alive,
 * and the counts, or the error of a key with another type, because it would otherwise fail all keys.
 */
export const UPDATE = new Script(`
local processes, process, keep = KEYS[1], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function isAlive(name)
  local leaseEnd = redis.call('ZSCORE', processes, name)
  return leaseEnd and tonumber(leaseEnd) > now
end
local function mistypeOf(reply)
  return type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE') and reply.err
end
-- Other errors, for example of a full disk, fail the script.
local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not mistypeOf(reply) then return redis.call(...) end
  return reply
end
local function countOf(counts, held, wanted, max, key)
  local others = 0
  for i = 1, #counts, 2 do
    if counts[i] ~= process then
      if isAlive(counts[i]) then others = others + (tonumber(counts[i + 1]) or 0)
      else redis.call('HDEL', key, counts[i]) end
    end
  end
  return math.max(held, math.min(wanted, max - others))
end
local function update(key, held, wanted, max)
  local count = held
  if wanted ~= held then
    local counts = call('HGETALL', key)
    if mistypeOf(counts) then return mistypeOf(counts) end
    count = countOf(counts, held, wanted, max, key)
  end
  local reply
  if count == 0 then reply = call('HDEL', key, process)
  else reply = call('HSET', key, process, count) end
  if mistypeOf(reply) then return mistypeOf(reply) end
  if count > 0 then redis.call('PEXPIRE', key, keep) end
  return count
end
local results = {isAlive(process) and 1 or 0}
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
redis.call('ZADD', processes, now + tonumber(ARGV[2]), process)
redis.call('PEXPIRE', processes, keep)
for i = 2, #KEYS do
  local at = 3 + (i - 2) * ${UPDATE_ARGUMENTS}
  results[i] = update(KEYS[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
end
return results`)

/** `process`. Removes it from the sorted set of the processes. */
export const END = new Script("return redis.call('ZREM', KEYS[1], ARGV[1])")
