import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EventClock } from '../../../src/cli/load/clock.ts'
import { DataReader } from '../../../src/cli/load/data-reader.ts'
import { LoadStream } from '../../../src/cli/load/load-stream.ts'
import { Tally } from '../../../src/cli/load/tally.ts'
import {
  INCOMPLETE,
  type RequestOptions,
  type ResponseListener,
  type Transport,
} from '../../../src/cli/load/transport.ts'
import { LoadMonitor } from '../../../src/cli/load/worker-load.ts'

/** Keeps the requests, whose responses the test sends. */
class FakeTransport implements Transport {
  readonly streamsPerConnection = 1
  readonly listeners: ResponseListener[] = []
  send(_request: RequestOptions, listener: ResponseListener) {
    this.listeners.push(listener)
    return { pause() {}, resume() {}, destroy() {} }
  }
  close() {}
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
  const transport = new FakeTransport()
  const { listeners } = transport
  const stream = new LoadStream(0, false, {
    ...{ tally, transport, headers: {}, gapEvent: 'gap', isSharedSequence: true },
    ...{ retry: 1000, slowRate: 1, startedAt: 0, unpublished: [] },
    ...{ clock: new EventClock(true), monitor: new LoadMonitor(), reader: new DataReader({ sequence: 'n' }) },
  })
  stream.open(0)
  const last = () => listeners.at(-1) as ResponseListener
  const respond = () => last().onResponse(200, { 'content-type': 'text/event-stream' })
  const receive = (text: string) => last().onBody(Buffer.from(text))
  return { tally, listeners, stream, last, respond, receive }
}

test('the silence before a connection ends is the longest one too', () => {
  const { tally, respond, stream } = open()
  respond()
  now = 60_000
  stream.cut()
  expect(tally.longestSilence).toBe(60_000)
})

test('a resume is undecided until an event has a number', async () => {
  const { tally, respond, receive, stream } = open()
  respond()
  receive('id: 1\ndata: {"n":1}\n\n')
  for (const text of ['data: hello\n\n', '', 'data: {"n":2}\n\n']) {
    stream.cut()
    vi.advanceTimersByTime(1000)
    respond()
    if (text) receive(text)
  }
  stream.cut()
  expect(tally.counts).toMatchObject({ undecided: 2, resumes: { exact: 1, silent: 0 } })
})

test('a request that is closed without a response is opened again', () => {
  const { tally, listeners, last } = open()
  last().onFailure(INCOMPLETE)
  vi.advanceTimersByTime(1000)
  expect(listeners).toHaveLength(2)
  expect(tally.counts.errors).toEqual({ cut: 1 })
})

test('a stream whose id cannot be the value of a header ends with an error', () => {
  const { tally, listeners, stream, respond, receive } = open()
  respond()
  receive('id: \u0001\ndata: {"n":1}\n\n')
  stream.cut()
  vi.advanceTimersByTime(1000)
  expect(listeners).toHaveLength(1)
  expect(tally.counts).toMatchObject({ failed: 1, errors: { 'Last-Event-ID': 1 } })
})

test('the preamble of a stream is no heartbeat, and the first interval counts from it', () => {
  const { tally, respond, receive, stream } = open()
  const receiveAt = (time: number, text: string) => {
    now = time
    receive(text)
  }
  respond()
  receiveAt(10, ':\nretry: 1000\n: heartbeat 4000\n')
  receiveAt(4_010, ':\n')
  // The same comment later is a heartbeat, and so is one without the empty comment.
  receiveAt(8_010, ': heartbeat 4000\n')
  stream.cut()
  vi.advanceTimersByTime(1000)
  respond()
  receiveAt(9_000, ': heartbeat 4000\n')
  receiveAt(9_100, ':\n')
  expect(tally.counts.heartbeats).toBe(4)
  // In µs.
  expect([...(tally.flush().heartbeat ?? [])]).toEqual([4_000_000, 4_000_000, 100_000])
})

test('a comment after an event is a heartbeat', () => {
  const { tally, respond, receive } = open()
  respond()
  receive('data: {"n":1}\n\n:\n')
  expect(tally.counts.heartbeats).toBe(1)
})
