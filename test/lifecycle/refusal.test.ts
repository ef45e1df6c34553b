import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { refuseStream } from '../../src/stream/refusal.ts'
import { drainAll, eventsOf, publishNumbers } from '../support/hub.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

describe('refuseStream', () => {
  it('sends the reconnection time to a client whose own replay is being sent', async () => {
    const replay = async function* () {
      for (let i = 0; ; i++) yield { data: `${i}`.padEnd(60_000) }
    }
    const { stream, transport } = fakeStream({ replay }, '7')
    transport.isFull = true
    await settled()
    stream.send({ data: 'live' })
    const end = closed(stream)
    refuseStream(stream, { retry: 7_000 }, 'unauthorized')
    await drainAll(transport)
    transport.lose()
    expect((await end).reason).toBe('unauthorized')
    expect(transport.writes.at(-1)).toMatch(/retry: (7|8|9|1\d)\d{3,4}\n+$/)
    expect(transport.isEnded).toBe(true)
  })

  it('stops the replay of a stream that is closing, and keeps its first reason', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 100, { size: 60_000 })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, 'a')
    await settled()
    stream.close()
    const end = closed(stream)
    refuseStream(stream, { retry: 7_000 }, 'unauthorized')
    await drainAll(transport)
    transport.lose()
    expect((await end).reason).toBe('server')
    expect(eventsOf(transport).length).toBeLessThan(10)
    expect(transport.writes.join('')).toMatch(/retry: (7|8|9|1\d)\d{3,4}\n/)
  })
})
