import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const PRINTED = Symbol.for('spillway.warned')
const failure = new Error('no database')
const MESSAGE =
  'The option replay or onGap of a stream failed. ' +
  "Further such errors are not printed: use stream.on('close', listener)."

beforeEach(() => void Reflect.deleteProperty(globalThis, PRINTED))

/** Returns what is printed during the test. */
function printed(): unknown[][] {
  const print = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => print.mockRestore())
  return print.mock.calls
}

describe('the error of the replay of a stream', () => {
  it.each<[string, object, unknown]>([
    [
      'replay throws',
      {
        replay: () => {
          throw failure
        },
      },
      failure,
    ],
    ['replay is rejected', { replay: () => Promise.reject(failure) }, failure],
    ['replay returns a wrong text', { replay: () => 'Gap' }, sseError('ERR_SSE_SOURCE')],
    [
      'onGap returns an object',
      { replay: () => 'gap', onGap: () => ({ price: 1 }) },
      sseError('ERR_SSE_SOURCE'),
    ],
    ['replay is rejected with false', { replay: () => Promise.reject(false) }, expect.any(Error)],
  ])('is printed once per process if no stream has a close listener: %s', async (_name, options, error) => {
    const calls = printed()
    const streams = Array.from({ length: 5 }, () => fakeStream({ ...options }, '3'))
    await settled()
    expect(calls).toEqual([[MESSAGE, error]])
    expect(streams.map(({ transport }) => transport.isEnded)).toEqual(Array(5).fill(true))
  })

  it('is not printed if the stream has a close listener, which receives it', async () => {
    const calls = printed()
    const { stream, transport } = fakeStream({ replay: () => Promise.reject(failure) }, '3')
    const end = closed(stream)
    await settled()
    transport.lose()
    expect(await end).toEqual({ reason: 'replay', error: failure })
    expect(calls).toEqual([])
  })

  it('is not printed if maxReplayEvents is exceeded, because the client resumes', async () => {
    const calls = printed()
    const replay = () => [{ id: 1, data: 1 }]
    fakeStream({ replay: () => [...replay(), ...replay()], maxReplayEvents: 1 }, '3')
    await settled()
    expect(calls).toEqual([])
  })

  it.each<[string, (stream: ReturnType<typeof fakeStream>) => void]>([
    ['has disconnected', ({ transport }) => transport.lose()],
    ['is closing and its signal has aborted the work', ({ stream }) => stream.signal && stream.close()],
  ])('is not printed if the stream %s', async (_name, end) => {
    const calls = printed()
    const pending = deferred<never>()
    const opened = fakeStream({ replay: () => pending.promise }, '3')
    end(opened)
    pending.reject(failure)
    await settled()
    expect(calls).toEqual([])
  })

  it('is not passed to the hub of the stream', async () => {
    const calls = printed()
    const hub = new Hub()
    const emitted = vi.fn()
    hub.on('error', emitted)
    const { stream } = fakeStream({ replay: () => Promise.reject(failure) }, '3')
    hub.subscribe(stream, 'a')
    await settled()
    expect(calls).toHaveLength(1)
    expect(emitted).not.toHaveBeenCalled()
  })
})

describe('a replay', () => {
  it.each([undefined, null, false])('sends nothing if it returns %s', async (missed) => {
    const replay = (() => missed) as SseStreamOptions['replay']
    const { stream, transport } = fakeStream({ replay }, '3')
    stream.send({ data: 'live' })
    await settled()
    expect(transport.writes.join('')).toBe('data: live\n\n')
    expect(stream.closed).toBe(false)
  })
})
