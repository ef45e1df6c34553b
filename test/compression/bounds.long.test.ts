import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get } from '../support/client.ts'
import { ENCODINGS } from '../support/decode.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const CASES = ENCODINGS.flatMap((encoding) => [[encoding, 'http'] as const, [encoding, 'h2c'] as const])

/** Opens a stream whose client does not read. */
async function openUnread(encoding: string, protocol: Protocol, options: SseStreamOptions) {
  const opened = deferred<SseStream>()
  const { port } = await serve((request, response) => {
    opened.resolve(createSseStream(request, response, { compress: true, ...options }))
  }, protocol)
  const client = await get(protocol, port, { headers: { 'accept-encoding': encoding } })
  client.stopReading()
  return opened.promise
}

/** Sends text that cannot be compressed until the stream is closed. Returns the most that was queued. */
async function flood(stream: SseStream): Promise<number> {
  let most = 0
  while (!stream.closed) {
    // Each time other text, because a repetition would be compressed.
    stream.send({ data: randomBytes(24_000).toString('base64') })
    most = Math.max(most, stream.bufferedBytes)
    await nextTurn()
  }
  return most
}

describe.each(CASES)('a client of %s over %s that does not read', (encoding, protocol) => {
  it('overflows its queue at the limit (rule 30)', async () => {
    const stream = await openUnread(encoding, protocol, { maxBufferedBytes: 200_000, stallTimeout: 0 })
    const end = closed(stream)
    const most = await flood(stream)
    expect(await end).toMatchObject({ reason: 'overflow' })
    expect(most).toBeGreaterThan(100_000)
    expect(most).toBeLessThanOrEqual(200_000)
  })

  it('is disconnected after stallTimeout (rule 27)', async () => {
    const stream = await openUnread(encoding, protocol, { stallTimeout: 500, overflow: 'drop-newest' })
    const end = closed(stream)
    await flood(stream)
    expect(await end).toMatchObject({ reason: 'stalled' })
    await expect(stream.drained()).resolves.toBe(false)
  })
})
