import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { startCuttingProxy } from '../support/proxy.ts'
import { ReadingClient } from '../support/reading-client.ts'
import { serve } from '../support/serve.ts'

interface Kind {
  readonly name: string
  readonly stream?: SseStreamOptions
  readonly subscribe?: SubscribeOptions
  /** Whether an event is published in the turn of each connection, so that it is the first block. */
  readonly isPublishing?: boolean
}

const KINDS: Kind[] = [
  { name: 'a position' },
  { name: 'a position without a preamble', stream: { preamble: false } },
  { name: 'an event', isPublishing: true },
  {
    name: 'a snapshot and a position',
    subscribe: { snapshot: async () => [{ event: 'state', data: 'all' }] },
  },
]

// More bytes than the response headers and the first block.
const ALL = 1_000

describe('a connection that is cut at each byte of its response headers and its first block', () => {
  it.each(KINDS)(
    'misses no event once $name was received',
    async ({ stream: options, subscribe, isPublishing }) => {
      const hub = new Hub()
      const a = hub.channel('a')
      let ended = () => {}
      const server = await serve((request, response) => {
        const stream = createSseStream(request, response, { retry: 0, ...options })
        a.subscribe(stream, subscribe)
        if (isPublishing) void a.publish({ data: 'first' })
        stream.once('close', () => ended())
      })
      let bytes = 0
      const cutting = await startCuttingProxy(
        () => server.port,
        () => bytes,
      )
      let [resumed, isComplete] = [0, false]
      for (bytes = 1; !isComplete && bytes < ALL; bytes++) {
        const end = new Promise<void>((resolve) => {
          ended = resolve
        })
        const client = new ReadingClient(cutting.port)
        await client.connect()
        await end
        expect(hub.size).toBe(0)

        const missed = await a.publish({ data: 'missed' })
        const id = client.lastEventId
        const before = client.events.length
        expect(before > 0 && client.events.at(-1)?.event !== 'state').toBe(id !== '')
        const again = new ReadingClient(server.port)
        again.lastEventId = id
        const reconnected = again.connect()
        await again.until(() => again.events.some(({ id }) => id !== ''))
        if (id === '') expect(again.events.filter(({ data }) => data === 'missed')).toEqual([])
        else expect(again.events[0]).toEqual({ event: 'message', data: 'missed', id: missed })
        const live = await a.publish({ data: 'live' })
        await again.until(() => again.lastEventId === live)
        expect([
          ...client.refusals,
          ...again.refusals,
          ...again.events.filter(({ event }) => event === 'gap'),
        ]).toEqual([])
        const over = new Promise<void>((resolve) => {
          ended = resolve
        })
        again.end()
        await Promise.all([reconnected, over])
        expect(hub.size).toBe(0)
        if (id !== '') resumed += 1
        // The chunk of the block ends with two more bytes.
        isComplete = resumed === 3
      }
      expect(isComplete).toBe(true)
    },
  )
})
