import type { StoredEntry } from '../broker/driver.ts'

/** The fields of an entry: who wrote it, and what. */
export const CHANNEL = 'c'
export const RECORD = 'e'

type Fields = readonly unknown[] | Readonly<Record<string, unknown>>

/** Entries as XRANGE answers with them. */
export function toEntries(reply: unknown): StoredEntry[] {
  return ((reply ?? []) as Array<readonly [unknown, Fields]>).map(([id, fields]) => {
    const named = toRecord(fields)
    return { id: String(id), channel: String(named[CHANNEL] ?? ''), record: String(named[RECORD] ?? '') }
  })
}

/** The entries of the one stream that XREAD was asked for. Null: none came in time. */
export function entriesOfOneStream(reply: unknown): StoredEntry[] {
  // RESP2 answers with pairs of name and entries, RESP3 with a map, which ioredis makes a flat list of.
  const isPairs = Array.isArray(reply) && Array.isArray(reply[0])
  return toEntries(isPairs ? reply[0][1] : Object.values(toRecord(reply ?? []))[0])
}

/** Names and values in turn, or a map, as an object. */
export function toRecord(reply: unknown): Record<string, unknown> {
  if (reply instanceof Map) return Object.fromEntries(reply)
  if (!Array.isArray(reply)) return Object(reply)
  const pairs = reply.flatMap((name, i) => (i % 2 === 0 ? [[String(name), reply[i + 1]]] : []))
  return Object.fromEntries(pairs)
}
