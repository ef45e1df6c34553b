import { Script } from '../script.ts'

// A run is a stream whose ids begin with its epoch. The first entry has the number 0. Each batch is an entry with the
// number of its last event. A consumer group has the name of the owner, and is kept when the first entries are removed.
// The last key never exists, as described in `RunKeys`.
const FUNCTIONS = `
local key = KEYS[1]
local function newestOf(key) return redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1] end
local function field(entry, name)
  for i = 1, #entry[2], 2 do if entry[2][i] == name then return entry[2][i + 1] end end
end
local function state(newest, isNew)
  local owner = redis.call('XINFO', 'GROUPS', key)[1][2]
  return {newest[1], field(newest, 'end') or '', field(newest, 'last') or '', owner, isNew}
end
`

const script = (text: string) => new Script(FUNCTIONS + text)

/** `owner maxAge token`. Returns the state, and `1` if this call has started the run, also if it was sent twice. */
export const START = script(`
local newest = newestOf(key)
if newest then
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  return state(newest, field(first, 'token') == ARGV[3] and 1 or 0)
end
local now = redis.call('TIME')
local id = now[1] .. string.format('%06d', now[2]) .. '-0'
redis.call('XADD', key, id, 'token', ARGV[3])
redis.call('XGROUP', 'CREATE', key, ARGV[1], '0')
redis.call('PEXPIRE', key, ARGV[2])
return state({id, {}}, 1)`)

/** How many arguments of `APPEND` a batch has. */
export const APPEND_ARGUMENTS = 5

/**
 * `previous id evictBefore end record` for each key: ids, and `reason last keep` for the last batch. Returns for each
 * key `1`, `0` if the batch is refused, or a permanent error. A refused batch also notifies the watchers, because the
 * run may have expired.
 */
export const APPEND = script(`
local function append(key, previous, id, evictBefore, ending, record)
  local entries = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if entries.err then return entries.err end
  local newest = entries[1]
  local reason, last, keep = string.match(ending, '^(%a+) (%d+) (%d*)$')
  if not newest or newest[1] ~= previous then
    if newest and newest[1] == id and newest[2][2] == record and newest[2][4] == reason then return 1 end
    redis.call('PUBLISH', key, '')
    return 0
  end
  if reason then
    redis.call('XADD', key, id, 'batch', record, 'end', reason, 'last', last)
    redis.call('PUBLISH', key, id .. ' ' .. reason .. ' ' .. last .. ' ' .. record)
    local left = redis.call('PTTL', key)
    if keep ~= '' and (left < 0 or tonumber(keep) < left) then redis.call('PEXPIRE', key, keep) end
  else
    if evictBefore == '' then redis.call('XADD', key, id, 'batch', record)
    else redis.call('XADD', key, 'MINID', '~', evictBefore, id, 'batch', record) end
    redis.call('PUBLISH', key, id .. ' ' .. record)
  end
  return 1
end
local results = {}
for i = 1, #KEYS - 1 do
  local at = (i - 1) * ${APPEND_ARGUMENTS}
  results[i] = append(KEYS[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
end
return results`)

/** Returns the state, or nothing if there is no run. */
export const FIND = script(`
local newest = newestOf(key)
return newest and state(newest, 0)`)

/**
 * `after upTo oldest bytes`. Returns entries, or nothing if there are none and the epoch has no entry. An entry is
 * copied to the script before its size is known, so chunks are small and grow from one entry on.
 */
export const READ = script(`
local from, left, found, count = '(' .. ARGV[1], tonumber(ARGV[4]), {}, 1
while true do
  local chunk = redis.call('XRANGE', key, from, ARGV[2], 'COUNT', count)
  for _, entry in ipairs(chunk) do
    left = left - #entry[2][2]
    if left < 0 and #found > 0 then return found end
    found[#found + 1] = entry
  end
  if #chunk < count or left <= 0 then break end
  from = '(' .. chunk[count][1]
  count = math.min(count * 2, 32)
end
if #found == 0 and #redis.call('XREVRANGE', key, ARGV[2], ARGV[3], 'COUNT', 1) == 0 then return false end
return found`)

/** Returns `1` if there was a run. */
export const REMOVE = script(`
local removed = redis.call('UNLINK', key)
redis.call('PUBLISH', key, '')
return removed`)

/** `ttl` in ms, on the key of an owner. */
export const RENEW = script("return redis.call('SET', key, '1', 'PX', ARGV[1])")

/** On the key of an owner. */
export const RELEASE = script("return redis.call('DEL', key)")

/**
 * On the key of an owner. Returns `1` if it is alive. While the server rejects writes, no owner can renew its lease, so
 * the reply must be an error. A write to the key that never exists causes it, and changes nothing.
 */
export const IS_ALIVE = script(`
if redis.call('EXISTS', key) == 1 then return 1 end
redis.call('SET', KEYS[2], '', 'XX')
return 0`)

/** `message`, on the key of an owner. Returns `0` if the owner is alive but did not receive the message. */
export const STOP = script(`
if redis.call('PUBLISH', key, ARGV[1]) > 0 then return 1 end
return 1 - redis.call('EXISTS', key)`)
