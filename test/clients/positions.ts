import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred } from '../support/serve.ts'
import { closed } from '../support/streams.ts'
import { type ClientUnderTest, connect, serveStreams } from './contract.ts'

/** Where hubs get their events. */
export interface HubSource {
  /** Returns a function that opens the hub of a process. All hubs that it opens share one log, if the store can. */
  newLog(): () => Promise<Hub>
  /** Whether the log outlives a process. */
  isShared: boolean
}

interface Ending {
  readonly name: string
  readonly options?: SseStreamOptions
  /** Ends the stream of the first connection. */
  end(stream: SseStream, hub: Hub): unknown
  /** Whether the process ends too, so that the client reconnects to another one. */
  readonly isDeploy?: boolean
}

const ENDINGS: readonly Ending[] = [
  { name: 'is cut', end: (stream) => stream.destroy() },
  {
    name: 'reaches its maximum duration',
    options: { maxDuration: 60_000, heartbeat: 0 },
    end: () => {
      const clock = holdClock()
      onTestFinished(() => clock.release())
      clock.advance(60_000)
    },
  },
  { name: 'is closed', end: (stream) => stream.close({ retry: 1 }) },
  {
    name: 'is closed by the shutdown of its process',
    isDeploy: true,
    end: (_stream, hub) => hub.shutdown({ retry: 1 }),
  },
]

const POSITION = { type: 'position', data: '{}' }

/** A client that has received no event resumes from its position. */
export function positionContract(
  client: ClientUnderTest,
  { newLog, isShared }: HubSource,
  endings: readonly string[] = ENDINGS.map(({ name }) => name),
): void {
  describe(`${client.name}, before its first event`, () => {
    const tested = ENDINGS.filter(({ name }) => endings.includes(name))
    it.each(tested)(
      'receives an event that was published after its stream $name (decision 7.1)',
      async (ending) => {
        const openHub = newLog()
        const first = await openHub()
        const second = isShared || ending.isDeploy ? await openHub() : first
        const opened = deferred<SseStream>()
        const published = deferred<void>()
        let connections = 0
        const url = await serveStreams(client, async (request, response) => {
          connections += 1
          const isFirst = connections === 1
          // The event is published while no client is connected.
          if (!isFirst) await published.promise
          const stream = createSseStream(request, response, { retry: 1, ...ending.options })
          const hub = isFirst ? first : second
          hub.subscribe(stream, 'a')
          if (isFirst) opened.resolve(stream)
        })
        const { receive } = await connect(client, url, true)
        const stream = await opened.promise
        await receive(1)

        const end = closed(stream)
        await Promise.all([ending.end(stream, first), end])
        const missed = await second.channel('a').publish({ data: 'missed' })
        published.resolve()
        const isLost = ending.isDeploy && !isShared
        await receive(2)
        const live = await second.channel('a').publish({ data: 'live' })

        const events = await receive(3)
        expect(events).toEqual([
          { ...POSITION, lastEventId: expect.stringMatching(/^\S+$/) },
          isLost
            ? { type: 'gap', data: '{"reason":"unknown"}', lastEventId: missed }
            : { type: 'message', data: 'missed', lastEventId: missed },
          { type: 'message', data: 'live', lastEventId: live },
        ])
        expect(JSON.parse(events[0]?.data as string)).toEqual({})
      },
    )
  })
}
