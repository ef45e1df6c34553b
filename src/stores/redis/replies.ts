import type { StoredEntry } from '../broker/driver.ts'

/** The fields of a stream's entry: the channel and the record. */
export const CHANNEL = 'c'
export const RECORD = 'e'

type Fields = readonly unknown[] | Readonly<Record<string, unknown>>

/** Returns the text of a reply, which a client may decode as a Buffer. */
export function toText(reply: unknown): string {
  return String(reply ?? '')
}

/** Returns the entries of a reply to XRANGE. */
export function toEntries(reply: unknown): StoredEntry[] {
  return ((reply ?? []) as Array<readonly [unknown, Fields]>).map(([id, fields]) => {
    const named = toRecord(fields)
    const entry = { id: toText(id), channel: toText(named[CHANNEL]), record: toText(named[RECORD]) }
    // An id begins with the time.
    return { ...entry, time: Number.parseInt(entry.id, 10) }
  })
}

/** Returns the entries of a reply to XREAD for one stream. The reply is null if there were none in time. */
export function entriesOfOneStream(reply: unknown): StoredEntry[] {
  // RESP2 has pairs of name and entries. RESP3 has a map, which ioredis flattens to a list.
  const isPairs = Array.isArray(reply) && Array.isArray(reply[0])
  return toEntries(isPairs ? reply[0][1] : Object.values(toRecord(reply ?? []))[0])
}

/** Returns a map, or a list of alternating names and values, as an object. */
export function toRecord(reply: unknown): Record<string, unknown> {
  if (reply instanceof Map) return Object.fromEntries(reply)
  if (!Array.isArray(reply)) return Object(reply)
  const pairs = reply.flatMap((name, i) => (i % 2 === 0 ? [[toText(name), reply[i + 1]]] : []))
  return Object.fromEntries(pairs)
}
