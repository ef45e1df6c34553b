import { NOOP_RECORD } from '../broker/driver.ts'
import { CHANNEL, RECORD } from './replies.ts'
import { Script } from './script.ts'

// An entry is copied to the script before its size is known, so chunks are small and grow from one entry on.
const FUNCTIONS = `
local key = KEYS[1]
local function field(entry, name)
  for i = 1, #entry[2], 2 do if entry[2][i] == name then return entry[2][i + 1] end end
end
local function isNoop(entry) return field(entry, '${RECORD}') == '${NOOP_RECORD}' end
local function each(command, from, to, visit)
  local count = 1
  while true do
    local chunk = redis.call(command, key, from, to, 'COUNT', count)
    for _, entry in ipairs(chunk) do
      local size = 0
      for _, text in ipairs(entry[2]) do size = size + #text end
      if not visit(entry, size) then return false end
    end
    if #chunk < count then return true end
    from = '(' .. chunk[count][1]
    count = math.min(count * 2, 16)
  end
end
local function page(command, from, to, entries, bytes)
  local found, isEnd = {}, false
  if entries == 0 then return found, false end
  isEnd = each(command, from, to, function(entry, size)
    bytes = bytes - size
    if bytes < 0 and #found > 0 then return false end
    found[#found + 1] = entry
    return #found < entries and bytes > 0
  end)
  return found, isEnd
end
local function first() return redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1] end
local function lastId()
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return info[i + 1] end end
end
`

const script = (text: string) => new Script(FUNCTIONS + text)

/**
 * `after upTo entries bytes`. Returns entries, and the newest id if they end before `upTo`. Without an entry at
 * `after`, returns the id of the first entry.
 */
export const RANGE = script(`
local after, upTo = ARGV[1], ARGV[2]
if #redis.call('XRANGE', key, after, after) == 0 then
  local entry = first()
  return entry and entry[1] or ''
end
local found, isEnd = page('XRANGE', '(' .. after, upTo, tonumber(ARGV[3]), tonumber(ARGV[4]))
local last = found[#found]
if isEnd and (last and last[1] or after) ~= upTo then return {found, lastId()} end
return {found, ''}`)

/** `from entries bytes` */
export const NEWEST = script(`
local found = page('XREVRANGE', ARGV[1], '-', tonumber(ARGV[2]), tonumber(ARGV[3]))
return found`)

/**
 * `from left entries bytes channel …`. Returns the end of the step, a position, and how many entries are left and were
 * searched.
 */
export const SEARCH = script(`
local left, entries, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local channels, searched, last, found = {}, 0, nil, nil
for i = 5, #ARGV do channels[ARGV[i]] = true end
local isEnd = each('XREVRANGE', ARGV[1], '-', function(entry, size)
  if left == 0 then found = entry[1] end
  if found or searched == entries or bytes < 0 then return false end
  bytes, searched, last = bytes - size, searched + 1, entry
  if channels[field(entry, '${CHANNEL}')] then left = left - 1 end
  return true
end)
if found then return {'found', found, 0, searched} end
if not isEnd then return {'more', last[1], left, searched} end
return {last and isNoop(last) and 'first' or 'trimmed', last and last[1] or '', left, searched}`)

/** Returns the id of the first entry, and `1` if it is the no-op record. */
export const FIRST = script(`
local entry = first()
return entry and {entry[1], isNoop(entry) and '1' or ''} or {'', ''}`)

export const LAST_ID = script('return lastId()')
