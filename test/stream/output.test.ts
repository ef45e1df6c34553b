import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { type OpenTransport, Output } from '../../src/stream/output.ts'
import { SseStream } from '../../src/stream/stream.ts'
import type { Transport, TransportOwner } from '../../src/transports/transport.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

const SLICE = 64 * 1024

/** A transport that records the calls it receives, in order. */
class RecordingTransport implements Transport {
  readonly hasUnsent = false
  readonly calls: string[]
  owner: TransportOwner | undefined

  constructor(calls: string[]) {
    this.calls = calls
  }

  open(owner: TransportOwner): void {
    this.owner = owner
    this.calls.push('open')
  }

  write(bytes: Buffer): boolean {
    this.calls.push(`write ${bytes.toString().trim()}`)
    return true
  }

  probe(): void {
    this.calls.push('probe')
  }

  end(): void {
    this.calls.push('end')
  }

  destroy(): void {
    this.calls.push('destroy')
  }
}

const ownerSpy = () => ({ _begun: vi.fn(), _drained: vi.fn(), _lost: vi.fn() })

const frame = (text: string) => Frame.of(text, 1)

/**
 * Returns an output whose transport is opened by `begin()`, the calls to that transport, and the owner of the output.
 */
function lateOutput(
  open: (calls: string[]) => Transport | undefined = (calls) => new RecordingTransport(calls),
) {
  const calls: string[] = []
  const owner = ownerSpy()
  const output = new Output(owner)
  output.start(() => {
    calls.push('headers')
    return open(calls)
  })
  return { output, calls, owner }
}

function outputOver(transport: Transport) {
  const owner = ownerSpy()
  const output = new Output(owner)
  output.start(transport)
  return { output, owner }
}

describe('an output with a deferred transport', () => {
  it('sends nothing before begin()', () => {
    const { output, calls } = lateOutput()
    expect(output.isBegun).toBe(false)
    expect(calls).toEqual([])
  })

  it('sends the response headers once when begin() is called twice', () => {
    const { output, calls } = lateOutput()
    output.begin()
    output.begin()
    expect(calls).toEqual(['headers', 'open'])
  })

  it('sends the response headers before the first write', () => {
    const { output, calls } = lateOutput()
    expect(output.write(frame('one'))).toBe(true)
    output.write(frame('two'))
    expect(calls).toEqual(['headers', 'open', 'write one', 'write two'])
  })

  it('sends the response headers before it ends the response', () => {
    const { output, calls } = lateOutput()
    output.end()
    expect(calls).toEqual(['headers', 'open', 'end'])
  })

  it('is busy while the response headers are being sent', () => {
    const owner = ownerSpy()
    const output = new Output(owner)
    const seen: boolean[] = []
    output.start(() => {
      seen.push(output.isBusy)
      return new FakeTransport()
    })
    output.begin()
    expect([...seen, output.isBusy]).toEqual([true, false])
  })

  it('destroys a transport that opens after the output was destroyed', () => {
    const { output, calls } = lateOutput()
    output.destroy()
    output.begin()
    expect(calls).toEqual(['headers', 'destroy'])
  })

  it('never sends the response headers after abandon()', () => {
    const { output, calls } = lateOutput()
    output.abandon()
    output.begin()
    expect(output.write(frame('one'))).toBe(false)
    output.end()
    output.destroy()
    expect(calls).toEqual([])
  })

  it('ignores abandon() after begin()', () => {
    const { output, calls } = lateOutput()
    output.begin()
    output.abandon()
    output.write(frame('one'))
    expect(calls).toEqual(['headers', 'open', 'write one'])
  })

  it('reports a lost connection in a later microtask if there is no transport to open', async () => {
    const { output, calls, owner } = lateOutput(() => undefined)
    expect(output.write(frame('one'))).toBe(false)
    output.end()
    expect(owner._lost).not.toHaveBeenCalled()
    await Promise.resolve()
    expect(owner._lost.mock.calls).toEqual([[undefined]])
    expect(calls).toEqual(['headers'])
  })

  it.each<[string, (output: Output) => unknown]>([
    ['begin', (output) => output.begin()],
    ['the first write', (output) => output.write(frame('one'))],
    ['end', (output) => output.end()],
  ])('reports the error of writeHead during %s and does not throw', async (_moment, call) => {
    const failure = new Error('writeHead failed')
    const { output, calls, owner } = lateOutput(() => {
      throw failure
    })
    call(output)
    expect(owner._lost).not.toHaveBeenCalled()
    await Promise.resolve()
    expect(owner._lost.mock.calls).toEqual([[failure]])
    output.begin()
    output.destroy()
    expect(calls).toEqual(['headers'])
  })
})

describe('an output over an open transport', () => {
  it('notifies its owner when the transport has drained', () => {
    const transport = new FakeTransport()
    const { output, owner } = outputOver(transport)
    transport.isFull = true
    expect(output.write(frame('one'))).toBe(false)
    transport.drain()
    expect(owner._drained).toHaveBeenCalledTimes(1)
    expect(output.isFull).toBe(false)
  })

  it('ignores a drain while it is not full', () => {
    const transport = new FakeTransport()
    const { owner } = outputOver(transport)
    transport.drain()
    expect(owner._drained).not.toHaveBeenCalled()
  })

  it('reports a lost transport with its error', () => {
    const transport = new FakeTransport()
    const { owner } = outputOver(transport)
    const error = new Error('reset')
    transport.lose(error)
    expect(owner._lost.mock.calls).toEqual([[error]])
  })

  it('writes no further slices of a large frame after it was destroyed', () => {
    const transport = new FakeTransport()
    const { output } = outputOver(transport)
    transport.isFull = true
    output.write(frame('x'.repeat(2 * SLICE)))
    output.destroy()
    transport.drain()
    expect(transport.writes).toHaveLength(1)
  })
})

describe('a large frame', () => {
  const text = 'x'.repeat(SLICE) + 'y'.repeat(SLICE) + 'z'.repeat(SLICE / 2)

  it('is written completely and in order in slices of 64 KiB', () => {
    const transport = new FakeTransport()
    const { output } = outputOver(transport)
    expect(output.write(frame(text))).toBe(true)
    expect(transport.chunks.map(({ length }) => length)).toEqual([SLICE, SLICE, SLICE / 2])
    expect(transport.writes.join('')).toBe(text)
  })

  it('is written in one call if it is as large as a slice', () => {
    const transport = new FakeTransport()
    outputOver(transport).output.write(frame('x'.repeat(SLICE)))
    expect(transport.chunks.map(({ length }) => length)).toEqual([SLICE])
  })

  it('is continued only after a drain when a slice fills the transport', () => {
    const transport = new FakeTransport()
    const { output, owner } = outputOver(transport)
    transport.isFull = true
    expect(output.write(frame(text))).toBe(false)
    for (const writes of [2, 3]) {
      transport.drain({ isFull: true })
      expect(transport.writes).toHaveLength(writes)
    }
    expect(owner._drained).not.toHaveBeenCalled()
    transport.drain()
    expect(transport.writes.join('')).toBe(text)
    expect(owner._drained).toHaveBeenCalledTimes(1)
  })

  it('causes a lost connection when the write of a later slice throws', () => {
    const transport = new FakeTransport()
    const { output, owner } = outputOver(transport)
    transport.isFull = true
    output.write(frame(text))
    const failure = new Error('write failed')
    vi.spyOn(transport, 'write').mockImplementation(() => {
      throw failure
    })
    transport.drain()
    expect(owner._lost.mock.calls).toEqual([[failure]])
  })
})

describe('a stream before its response headers are sent', () => {
  function openStream(
    options: SseStreamOptions = {},
    open = (calls: string[]): Transport | undefined => new RecordingTransport(calls),
  ) {
    const calls: string[] = []
    const openTransport: OpenTransport = () => {
      calls.push('headers')
      return open(calls)
    }
    return { calls, stream: SseStream._open(openTransport, resolveOptions(options), 'new') }
  }

  it('sends them at the end of the turn with all events of the turn', async () => {
    const { stream, calls } = openStream()
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    expect(calls).toEqual([])
    await nextTurn()
    expect(calls).toEqual(['headers', 'open', 'write data: 1\n\ndata: 2'])
    stream.destroy()
  })

  it('sends them within the turn when its queue is full', () => {
    const { stream, calls } = openStream({ maxBufferedEvents: 1 })
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    expect(calls).toEqual(['headers', 'open', 'write data: 1'])
    stream.destroy()
  })

  it('sends them within the turn when it is closed', () => {
    const { stream, calls } = openStream()
    stream.send({ data: 1 })
    stream.close()
    expect(calls).toEqual(['headers', 'open', 'write data: 1', 'end'])
    stream.destroy()
  })

  it('writes the event that triggers the headers before events that a middleware sends from writeHead', async () => {
    const streams: SseStream[] = []
    const { stream, calls } = openStream({}, (calls) => {
      streams[0]?.send({ data: 'from within' })
      return new RecordingTransport(calls)
    })
    streams.push(stream)
    stream.send({ data: 'first' })
    await nextTurn()
    await nextTurn()
    expect(calls).toEqual(['headers', 'open', 'write data: first', 'write data: from within'])
    stream.destroy()
  })

  it('enables TCP keep-alive probes when they are sent and there is no heartbeat', () => {
    const { stream, calls } = openStream({ heartbeat: 0 })
    stream._connection.begin()
    expect(calls).toEqual(['headers', 'open', 'probe'])
    stream.destroy()
  })

  it('closes with the error of writeHead', async () => {
    const failure = new Error('no headers')
    const { stream } = openStream({}, () => {
      throw failure
    })
    const end = closed(stream)
    stream.send({ data: 1 })
    stream._connection.begin()
    expect(await end).toEqual({ reason: 'error', error: failure })
  })

  it('sends the events that a middleware sends meanwhile, and ends if it closes the stream', async () => {
    const streams: SseStream[] = []
    const drained = vi.fn()
    const { stream, calls } = openStream({}, (calls) => {
      const [stream] = streams
      stream?.send({ data: 'from within' })
      void stream?.drained().then(drained)
      stream?.close()
      return new RecordingTransport(calls)
    })
    streams.push(stream)
    stream._connection.begin()
    await nextTurn()
    await nextTurn()
    expect(calls).toEqual(['headers', 'open', 'write data: from within', 'end'])
    expect(drained).toHaveBeenCalledExactlyOnceWith(false)
    stream.destroy()
  })

  it('collects events for `flushInterval`, however early the headers are sent', async () => {
    const { stream, calls } = openStream({ flushInterval: 60_000 })
    stream.send({ data: 1 })
    stream._connection.begin()
    await nextTurn()
    expect(calls).toEqual(['headers', 'open'])
    stream.destroy()
  })

  it('counts no events if the client disconnects before the headers', async () => {
    const { stream } = openStream({}, () => undefined)
    const summaries: unknown[] = []
    const onClose = (summary: unknown) => summaries.push(summary)
    subscribe('spillway:stream:close', onClose)
    onTestFinished(() => void unsubscribe('spillway:stream:close', onClose))
    stream.send({ data: 1 })
    stream._connection.begin()
    await nextTurn()
    expect(summaries).toMatchObject([{ reason: 'client', events: 0, bytes: 0 }])
  })
})

describe("a middleware's own write", () => {
  const large = 'x'.repeat(3 * SLICE)

  /** A stream whose transport makes a call before its second write. */
  function intercepted(call: (stream: SseStream) => unknown, options: SseStreamOptions = {}) {
    const { stream, transport } = fakeStream(options)
    const write = transport.write.bind(transport)
    transport.write = (bytes) => {
      if (transport.writes.length === 1) call(stream)
      return !transport.isDestroyed && write(bytes)
    }
    return { stream, transport }
  }

  it.each(['within the turn', 'after a drain'])(
    'sends events that follow the large frame being written %s, also when the queue is full',
    async (when) => {
      const overflow = 'drop-oldest'
      const { stream, transport } = intercepted(
        (stream) => {
          for (const data of [1, 2, 3]) stream.send({ data })
        },
        { maxBufferedEvents: 2, overflow },
      )
      transport.isFull = when === 'after a drain'
      stream.send({ data: large })
      await settled()
      transport.drain()
      await settled()
      expect(transport.writes.join('')).toBe(`data: ${large}\n\ndata: 2\n\ndata: 3\n\n`)
    },
  )

  it.each(['within the turn', 'after a drain'])(
    'closes the stream after the large frame being written %s',
    async (when) => {
      const { stream, transport } = intercepted((stream) => stream.close())
      transport.isFull = when === 'after a drain'
      stream.send({ data: large })
      await settled()
      transport.drain()
      await settled()
      expect(transport.writes.join('')).toBe(`data: ${large}\n\n`)
      expect(transport).toMatchObject({ isEnded: true, lateWrites: 0 })
    },
  )

  it('closes the stream after a published event', async () => {
    const hub = new Hub()
    const { stream, transport } = intercepted((stream) => stream.close())
    hub.subscribe(stream, 'a')
    for (const data of [1, 2]) {
      await hub.channel('a').publish({ data })
      await settled()
    }
    expect(transport.writes.join('')).toMatch(/data: 1\n\n.*\ndata: 2\n\n$/)
    expect(transport).toMatchObject({ isEnded: true, lateWrites: 0 })
  })

  it.each<[string, (stream: SseStream) => unknown]>([
    ['destroys the stream', (stream) => stream.destroy()],
    [
      'throws',
      () => {
        throw new Error('write failed')
      },
    ],
  ])('%s, and nothing more of a large frame is written', async (_what, call) => {
    const { stream, transport } = intercepted(call)
    stream.send({ data: large })
    stream.send({ data: 'queued' })
    await settled()
    expect(stream.closed).toBe(true)
    expect(transport.isDestroyed).toBe(true)
    expect(transport.writes.length).toBeLessThanOrEqual(2)
    expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
  })
})
