import { connect } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { ReadingClient } from '../support/reading-client.ts'
import { serve } from '../support/serve.ts'
import { Tally } from '../support/tally.ts'

export interface Load {
  readonly events: number
  /** Clients that read everything, and reconnect after each of some events. Every second one has a filter. */
  readonly readers: number
  /** Clients that never read, of each overflow policy. */
  readonly stalled: number
}

// The kernel accepts megabytes for a client that never reads.
const PADDING = 'x'.repeat(40_000)
const POLICIES = ['close', 'drop-oldest', 'drop-newest', 'conflate'] as const
const QUEUE = { maxBufferedEvents: 10, maxBufferedBytes: 1_000_000, stallTimeout: 0 }

/**
 * Publishes to clients that come and go, that never read, and that lose nothing, while the broker fails. Expects that
 * all counts balance, and that the readers have received each event once. `fail` interrupts the connections to the
 * broker.
 */
export async function expectBalanceUnder(
  { events, readers, stalled }: Load,
  hub: Hub,
  fail: () => void,
): Promise<void> {
  const tally = new Tally()
  const port = await serveHub(hub)
  const all = Array.from({ length: readers }, (_, i) => new ReadingClient(port, i % 2 ? '/?filtered' : '/'))
  for (const reader of all) void reader.stayConnected()
  for (let i = 0; i < stalled; i++) for (const policy of POLICIES) stall(port, policy)
  await expect.poll(() => hub.size).toBe(readers + stalled * POLICIES.length)
  // A client that disconnects before it has a position is a new one afterwards.
  for (const reader of all) await expect.poll(() => reader.events.length).toBeGreaterThan(0)

  const published: Promise<string>[] = []
  for (let n = 0; n < events; n++) {
    const once = { idempotencyKey: String(n) }
    published.push(hub.channel('a').publish({ data: { n, padding: PADDING } }, once))
    all[n % readers]?.disconnect()
    if (n % 50 === 25) fail()
    if (n % 10 === 0) await Promise.all(published)
  }
  await Promise.all(published)

  for (const [i, reader] of all.entries()) {
    const expected = Array.from({ length: events }, (_, n) => n).filter((n) => i % 2 === 0 || n % 2 === 0)
    const numbers = () =>
      reader.events.filter(({ event }) => event === 'message').map(({ data }) => JSON.parse(data).n)
    // Each reader resumes before megabytes of events, which may take minutes on a busy machine.
    const isComplete = () => numbers().length >= expected.length
    await expect.poll(isComplete, { timeout: 240_000, interval: 200 }).toBe(true)
    expect(numbers()).toEqual(expected)
  }
  const counts = await balanceOf(tally)
  for (const name of ['offered', 'replayed', 'sent', 'queued', 'dropped', 'discarded', 'filtered'] as const)
    expect([name, counts[name] > 0]).toEqual([name, true])
  expect(counts.open).toBe(hub.size)

  for (const reader of all) reader.end()
  await hub.shutdown({ grace: 0 })
  expect(await balanceOf(tally)).toMatchObject({ open: 0, queued: 0 })
}

/** Resolves with the counts once they balance, because a replay is counted after its last event was sent. */
async function balanceOf(tally: Tally) {
  await expect.poll(() => tally.expectBalance().then(() => 'balanced', String)).toBe('balanced')
  return tally.expectBalance()
}

async function serveHub(hub: Hub): Promise<number> {
  const { port } = await serve((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    const overflow = POLICIES.find((policy) => searchParams.get('overflow') === policy)
    const stream = createSseStream(request, response, overflow ? { ...QUEUE, overflow } : {})
    const filter = ({ data }: { data?: unknown }) => (data as { n: number }).n % 2 === 0
    hub.subscribe(stream, 'a', searchParams.has('filtered') ? { filter } : {})
  })
  return port
}

/** Requests a stream that is never read. */
function stall(port: number, overflow: string): void {
  const socket = connect(port, '127.0.0.1').pause()
  socket.on('error', () => {})
  socket.write(`GET /?overflow=${overflow} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  onTestFinished(() => void socket.destroy())
}
