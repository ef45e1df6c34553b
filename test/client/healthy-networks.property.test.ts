import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { connectToFake } from '../support/client-connection.ts'
import type { FakeRequest } from '../support/fake-fetch.ts'

const HEARTBEAT = 15_000

/** What happens on a network that is slow, but holds and cuts nothing. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('heartbeat' as const),
      jitter: fc.integer({ min: 0, max: 3000 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('events' as const), count: fc.integer({ min: 1, max: 200 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('stall' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('sleep' as const), ms: fc.integer({ min: 0, max: 3_600_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('end' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('restart' as const), failures: fc.integer({ min: 0, max: 3 }) }),
  },
)

const session = fc.record({
  // A round trip on 3G, and its jitter as a factor.
  roundTrip: fc.integer({ min: 20, max: 1000 }),
  jitters: fc.array(fc.double({ min: 0.7, max: 1.3, noNaN: true }), { minLength: 4, maxLength: 4 }),
  replayed: fc.integer({ min: 0, max: 500 }),
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
})

// `SESSIONS=1000` runs more of them. A poll may race a slow stream, which wins.
test('sessions on slow networks never fall back, whatever the server and the page do', {
  timeout: 300_000,
}, async () => {
  let races = 0
  const runs = Number(process.env.SESSIONS ?? 100)
  await fc.assert(
    fc.asyncProperty(session, async ({ roundTrip, jitters, replayed, steps }) => {
      const { requests, source, seen, pass, passUntilRequest } = await connectToFake()
      let count = 0
      const latency = () => roundTrip * (jitters[count++ % jitters.length] ?? 1)
      /** Responds to the next stream. Polls that race it take as long, and are held for a second. */
      const open = async (): Promise<FakeRequest> => {
        await passUntilRequest()
        const stream = requests.shift() as FakeRequest
        expect(stream.isPoll).toBe(false)
        // A new connection takes three round trips, and the request one.
        await pass(4 * latency())
        races += requests.splice(0).length
        await stream.respond()
        await pass(Math.min(latency() / 3, 400))
        await stream.write(`: heartbeat ${HEARTBEAT}\nretry: 1000\nid: a-0\nevent: position\ndata: {}\n\n`)
        await stream.write('data: missed\n\n'.repeat(replayed))
        return stream
      }
      let stream = await open()
      for (const step of steps) {
        if (stream.isAborted) stream = await open()
        if (step.type === 'heartbeat') {
          await pass(HEARTBEAT + step.jitter)
          await stream.write(':\n')
        } else if (step.type === 'events') {
          await pass(5000)
          await stream.write('data: event\n\n'.repeat(step.count))
        } else if (step.type === 'stall') {
          await pass(step.ms)
          await stream.write(':\n'.repeat(Math.ceil(step.ms / HEARTBEAT)))
        } else if (step.type === 'sleep') {
          vi.setSystemTime(Date.now() + step.ms)
          await stream.write(':\n'.repeat(Math.ceil(step.ms / HEARTBEAT)))
        } else {
          // A server that restarts three times within seconds is no healthy one.
          await pass(6000)
          if (step.type === 'end') await stream.end()
          else await stream.cut()
          for (let failure = 0; step.type === 'restart' && failure < step.failures; failure++) {
            await passUntilRequest()
            await requests.shift()?.cut()
          }
          stream = await open()
        }
      }
      source.close()
      expect(seen.filter((each) => each.startsWith('json'))).toEqual([])
    }),
    { numRuns: runs },
  )
  console.info(`${runs} sessions, no fallback. ${races} requests raced a slow stream.`)
})
