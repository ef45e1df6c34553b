import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore, memoryStore } from '../../src/stores/memory/memory-store.ts'
import { sseError } from '../support/hub.ts'
import { fakeStream } from '../support/streams.ts'

describe('the arguments of a hub', () => {
  it.each<[string, unknown]>([
    ['a name that no option has', { logs: 1 }],
    ['a store without the methods of a store', { store: { append() {} } }],
  ])('are refused when the options hold %s', (_name, options) => {
    expect(() => new Hub(options as never)).toThrow(sseError('ERR_SSE_OPTION'))
  })

  it.each([
    ['log', 'Did you mean store?'],
    ['maxEvents', 'It is an option of the store, for example of memoryStore().'],
    ['maxBytes', 'It is an option of the store, for example of memoryStore().'],
    ['maxAge', 'It is an option of the store, for example of memoryStore().'],
    ['gapEvents', 'Did you mean gapEvent?'],
  ])('are refused with a hint when the options hold %s', (name, hint) => {
    expect(() => new Hub({ [name]: 100 } as never)).toThrow(
      `Unknown option "${name}". ${hint} Known options: store, `,
    )
  })

  it('are refused with a hint when the options are a store, which remains free', () => {
    const store = memoryStore()

    expect(() => new Hub(store as never)).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => new Hub(store as never)).toThrow('new Hub({ store })')
    expect(() => new Hub({ store })).not.toThrow()
  })

  it('are refused when the store belongs to another hub', () => {
    const store = new MemoryStore()
    new Hub({ store })

    expect(() => new Hub({ store })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  it('are refused when a channel has an empty name', () => {
    expect(() => new Hub().channel('')).toThrow(sseError('ERR_SSE_CHANNEL'))
  })

  it.each<[unknown[], string]>([
    [[{}, ['a']], 'ERR_SSE_STREAM'],
    [[undefined, ['a']], 'ERR_SSE_STREAM'],
    [['stream', []], 'ERR_SSE_CHANNEL'],
    [['stream', 5], 'ERR_SSE_CHANNEL'],
    [['stream', ''], 'ERR_SSE_CHANNEL'],
    [['stream', ['a\nb']], 'ERR_SSE_CHANNEL'],
    [['stream', ['x'.repeat(256)]], 'ERR_SSE_CHANNEL'],
    [['stream', ['a'], { filters: () => true }], 'ERR_SSE_OPTION'],
    [['stream', ['a'], { onGap: 'snapshot' }], 'ERR_SSE_OPTION'],
  ])('are refused when `subscribe` gets %j', ([stream, ...rest], code) => {
    const args = [stream === 'stream' ? fakeStream().stream : stream, ...rest]

    expect(() => new Hub().subscribe(...(args as Parameters<Hub['subscribe']>))).toThrow(sseError(code))
  })

  it.each<[unknown, string]>([
    [5, 'Channels must be a name or a list of names, not 5.'],
    [[], 'Channels must be a name or a list of names, not an empty list.'],
    [['ok', 5], 'A channel name must be a string of 1 to 255 characters without CR, LF and NUL, not 5.'],
  ])('are named in the error when `subscribe` gets the channels %j', (channels, message) => {
    const { stream } = fakeStream()

    expect(() => new Hub().subscribe(stream, channels as never)).toThrow(message)
  })
})
