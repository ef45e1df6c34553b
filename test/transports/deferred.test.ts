import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { LateTransport } from '../../src/transports/deferred.ts'
import type { Transport, TransportOwner } from '../../src/transports/transport.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { closed, nextTurn } from '../support/streams.ts'

/** A way out that notes what is asked of it, in its order. */
class NotingTransport implements Transport {
  readonly notes: string[]
  owner: TransportOwner | undefined

  constructor(notes: string[]) {
    this.notes = notes
  }

  open(owner: TransportOwner): void {
    this.owner = owner
    this.notes.push('open')
  }

  write(frame: Frame): boolean {
    this.notes.push(`write ${frame.payload.toString().trim()}`)
    return true
  }

  probe(): void {
    this.notes.push('probe')
  }

  end(): void {
    this.notes.push('end')
  }

  destroy(): void {
    this.notes.push('destroy')
  }
}

/** An owner that notes what it is told. */
class NotingOwner implements TransportOwner {
  readonly told: unknown[] = []
  transport: Transport | undefined

  _drained(): void {
    this.told.push('room')
  }

  _progressed(): void {
    this.told.push('moved')
  }

  _closed(error?: Error): void {
    this.told.push(['gone', error])
  }

  _goesOnThrough(transport: Transport): void {
    this.transport = transport
  }
}

const frame = (text: string) => Frame.of(text, 1)

/** A late transport that is open, and what was asked of the one behind it. */
function lateOver(transport: (notes: string[]) => Transport | undefined) {
  const notes: string[] = []
  const late = new LateTransport(() => {
    notes.push('head')
    return transport(notes)
  })
  const owner = new NotingOwner()
  late.open(owner)
  return { late, notes, owner }
}

const overNoting = () => lateOver((notes) => new NotingTransport(notes))

describe('a transport whose head has not left', () => {
  it('sends nothing by being opened', () => {
    expect(overNoting().notes).toEqual([])
  })

  it('sends the head when it is told to, and then belongs to the owner', () => {
    const { late, notes, owner } = overNoting()
    late.begin()
    expect(notes).toEqual(['head', 'open'])
    expect(owner.told).toEqual([])
  })

  it('sends the head before the first write', () => {
    const { late, notes } = overNoting()
    expect(late.write(frame('one'))).toBe(true)
    late.write(frame('two'))
    expect(notes).toEqual(['head', 'open', 'write one', 'write two'])
  })

  it('sends the head before the end', () => {
    const { late, notes } = overNoting()
    late.end()
    expect(notes).toEqual(['head', 'open', 'end'])
  })

  it('sends the head once', () => {
    const { late, notes } = overNoting()
    late.begin()
    late.write(frame('one'))
    late.begin()
    late.end()
    late.begin()
    expect(notes).toEqual(['head', 'open', 'write one', 'end'])
  })

  it('sends the head, what had it leave, and then what a middleware sends meanwhile', () => {
    const notes: string[] = []
    const late = new LateTransport(() => {
      notes.push('head')
      late.write(frame('from within'))
      late.end()
      return new NotingTransport(notes)
    })
    late.open(new NotingOwner())
    expect(late.write(frame('first'))).toBe(true)
    expect(notes).toEqual(['head', 'open', 'write first', 'write from within', 'end'])
  })

  it('says what the way out behind it says', () => {
    const behind = new FakeTransport()
    const { late, owner } = lateOver(() => behind)
    behind.isFull = true
    expect(late.write(frame('one'))).toBe(false)
    behind.drain()
    behind.move()
    const error = new Error('lost')
    behind.lose(error)
    expect(owner.told).toEqual(['room', 'moved', ['gone', error]])
  })

  it('remembers that it is to probe until there is something to probe', () => {
    const { late, notes } = overNoting()
    late.probe()
    expect(notes).toEqual([])
    late.begin()
    expect(notes).toEqual(['head', 'open', 'probe'])
  })

  it('cuts the connection, when it was destroyed before, as soon as there is one', () => {
    const { late, notes } = overNoting()
    late.probe()
    late.destroy()
    expect(notes).toEqual([])
    late.begin()
    expect(notes).toEqual(['head', 'destroy'])
  })

  it('has its owner go on through what lies behind it, when that is open', () => {
    const { late, notes, owner } = overNoting()
    expect(owner.transport).toBeUndefined()
    late.begin()
    owner.transport?.destroy()
    expect(notes).toEqual(['head', 'open', 'destroy'])
  })
})

describe('a transport that was abandoned', () => {
  it('sends nothing, whatever it is told, and is gone for nobody', async () => {
    const { late, notes, owner } = overNoting()
    late.abandon()
    late.begin()
    expect(late.write(frame('one'))).toBe(false)
    late.probe()
    late.end()
    late.destroy()
    await nextTurn()
    expect(notes).toEqual([])
    expect(owner.told).toEqual([])
  })

  it('goes on when the head had left', () => {
    const { late, notes } = overNoting()
    late.begin()
    late.abandon()
    late.write(frame('one'))
    expect(notes).toEqual(['head', 'open', 'write one'])
  })
})

describe('a transport with nobody to send the head to', () => {
  it('is gone, but not from within the call', async () => {
    const { late, owner } = lateOver(() => undefined)
    late.begin()
    expect(owner.told).toEqual([])
    await Promise.resolve()
    expect(owner.told).toEqual([['gone', undefined]])
  })

  it('takes writes and an end, and asks nobody again', async () => {
    const { late, notes, owner } = lateOver(() => undefined)
    expect(late.write(frame('one'))).toBe(false)
    late.end()
    late.begin()
    await nextTurn()
    expect(notes).toEqual(['head'])
    expect(owner.told).toEqual([['gone', undefined]])
  })
})

describe('a head that cannot be sent', () => {
  const failure = new Error('A middleware’s own writeHead failed.')
  const failing = () =>
    lateOver(() => {
      throw failure
    })

  it.each<[string, (late: LateTransport) => unknown]>([
    ['begin', (late) => late.begin()],
    ['the first write', (late) => late.write(frame('one'))],
    ['the end', (late) => late.end()],
  ])('is told to the owner, and not thrown by %s', async (_what, call) => {
    const { late, notes, owner } = failing()
    call(late)
    expect(owner.told).toEqual([])
    await Promise.resolve()
    expect(owner.told).toEqual([['gone', failure]])
    late.begin()
    late.destroy()
    expect(notes).toEqual(['head'])
  })

  it('is not tried again by what a middleware sends meanwhile', () => {
    let heads = 0
    const late = new LateTransport(() => {
      heads += 1
      late.write(frame('from within'))
      return new FakeTransport()
    })
    late.open(new NotingOwner())
    late.begin()
    expect(heads).toBe(1)
  })
})

describe('a stream whose head has not left', () => {
  function streamed(
    options: SseStreamOptions = {},
    sendHead = (notes: string[]): Transport | undefined => new NotingTransport(notes),
  ) {
    const notes: string[] = []
    const late = new LateTransport(() => {
      notes.push('head')
      return sendHead(notes)
    })
    return { late, notes, stream: SseStream._open(late, resolveOptions(options), 'new') }
  }

  it('sends it with what the turn gathered', async () => {
    const { stream, notes } = streamed()
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    expect(notes).toEqual([])
    await nextTurn()
    expect(notes).toEqual(['head', 'open', 'write data: 1\n\ndata: 2'])
    stream.destroy()
  })

  it('sends it within the turn when more is sent than may wait', () => {
    const { stream, notes } = streamed({ maxBufferedEvents: 1 })
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    expect(notes).toEqual(['head', 'open', 'write data: 1'])
    stream.destroy()
  })

  it('sends it within the turn when the stream is closed', () => {
    const { stream, notes } = streamed()
    stream.send({ data: 1 })
    stream.close()
    expect(notes).toEqual(['head', 'open', 'write data: 1', 'end'])
    stream.destroy()
  })

  it('has the kernel probe who gets no heartbeat', () => {
    const { late, stream, notes } = streamed({ heartbeat: 0 })
    late.begin()
    expect(notes).toEqual(['head', 'open', 'probe'])
    stream.destroy()
  })

  it('ends with what the head failed with', async () => {
    const failure = new Error('no head')
    const { late, stream } = streamed({}, () => {
      throw failure
    })
    const end = closed(stream)
    stream.send({ data: 1 })
    late.begin()
    expect(await end).toEqual({ reason: 'error', error: failure })
  })
})
