import { EventEmitter } from 'node:events'
import type { ClientRequest } from 'node:http'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EventClock } from '../../../src/cli/load/clock.ts'
import { DataReader } from '../../../src/cli/load/data-reader.ts'
import { LoadStream } from '../../../src/cli/load/load-stream.ts'
import { Tally } from '../../../src/cli/load/tally.ts'
import { LoadMonitor } from '../../../src/cli/load/worker-load.ts'

/** A request whose response the test sends. */
class FakeRequest extends EventEmitter {
  readonly response = Object.assign(new PassThrough(), {
    statusCode: 200,
    headers: { 'content-type': 'text/event-stream' },
  })
  end() {}
  destroy() {
    this.response.destroy()
  }
  respond() {
    this.emit('response', this.response)
  }
}

let now = 0
beforeEach(() => {
  now = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => now)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function open() {
  const tally = new Tally()
  const requests: FakeRequest[] = []
  const stream = new LoadStream(0, false, {
    ...{
      tally,
      gapEvent: 'gap',
      isSharedSequence: true,
      retry: 1000,
      slowRate: 1,
      startedAt: 0,
      unpublished: [],
    },
    ...{ clock: new EventClock(true), monitor: new LoadMonitor(), reader: new DataReader({ sequence: 'n' }) },
    request: () => {
      const request = new FakeRequest()
      requests.push(request)
      return request as unknown as ClientRequest
    },
  })
  stream.open(0)
  return { tally, requests, stream, last: () => requests.at(-1) as FakeRequest }
}

test('the silence before a connection ends is the longest one too', () => {
  const { tally, last, stream } = open()
  last().respond()
  now = 60_000
  stream.cut()
  expect(tally.longestSilence).toBe(60_000)
})

test('a resume is undecided until an event has a number', async () => {
  const { tally, last, stream } = open()
  const receive = (text: string) => last().response.emit('data', Buffer.from(text))
  last().respond()
  receive('id: 1\ndata: {"n":1}\n\n')
  for (const text of ['data: hello\n\n', '', 'data: {"n":2}\n\n']) {
    stream.cut()
    vi.advanceTimersByTime(1000)
    last().respond()
    receive(text)
  }
  stream.cut()
  expect(tally.counts).toMatchObject({ undecided: 2, resumes: { exact: 1, silent: 0 } })
})

test('a request that is closed without a response is opened again', () => {
  const { tally, requests, last } = open()
  last().emit('close')
  vi.advanceTimersByTime(1000)
  expect(requests).toHaveLength(2)
  expect(tally.counts.errors).toEqual({ cut: 1 })
})
