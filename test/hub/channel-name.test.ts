import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { eventsOf, sseError } from '../support/hub.ts'
import { fakeStream, settled } from '../support/streams.ts'

const HIGH = '🦆'.slice(0, 1)
const LOW = '🦆'.slice(1)

describe('the name of a channel', () => {
  it.each(['*', 'orders.*', '*.created', 'a*b'])(
    'is refused if it is %s, because it is literal (rule 47)',
    (name) => {
      const hub = new Hub()
      const { stream } = fakeStream()

      for (const call of [
        () => hub.channel(name),
        () => hub.subscribe(stream, name),
        () => hub.subscribe(stream, ['a', name]),
      ]) {
        expect(call).toThrow(sseError('ERR_SSE_CHANNEL'))
        expect(call).toThrow(
          `A channel name must be literal, because there are no patterns with *, not "${name}".`,
        )
      }
      expect(hub.size).toBe(0)
    },
  )

  // Redis stores each half as U+FFFD, so that an event would reach the subscribers of another channel.
  it.each([HIGH, LOW, `user:${HIGH}`, `${LOW}${HIGH}`])(
    'is refused if it contains half of a surrogate pair: %j',
    (name) => {
      const hub = new Hub()
      const { stream } = fakeStream()

      expect(() => hub.channel(name)).toThrow(sseError('ERR_SSE_CHANNEL'))
      expect(() => hub.subscribe(stream, ['a', name])).toThrow('half of a surrogate pair')
      expect(hub.size).toBe(0)
    },
  )

  it.each([
    '🦆',
    'orders.>',
    'orders.?',
    '{orders}',
    '[a-z]',
    'é/ü',
    ' ',
    '$SYS',
    '\ufffd',
    '🦆'.repeat(127),
  ])('is literal: %s', async (name) => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, name)
    await settled()

    await hub.channel(name).publish({ data: 1 })
    for (const other of ['orders.created', 'a', '[', 'orders']) await hub.channel(other).publish({ data: 2 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1'])
  })
})

describe('an idempotency key', () => {
  it.each([HIGH, LOW, `order-${HIGH}`])(
    'is refused if it contains half of a surrogate pair: %j',
    async (idempotencyKey) => {
      const { publish } = new Hub().channel('a')

      await expect(publish({ data: 1 }, { idempotencyKey })).rejects.toThrow(sseError('ERR_SSE_OPTION'))
      await expect(publish({ data: 1 }, { idempotencyKey })).rejects.toThrow(
        `Option idempotencyKey must be a string without halves of surrogate pairs, not ${JSON.stringify(idempotencyKey)}.`,
      )
    },
  )

  it('may contain any other character', async () => {
    const { publish } = new Hub().channel('a')

    const ids = await Promise.all(
      ['', '🦆', '\ufffd', '\0', '\n', '*'].map((idempotencyKey) => publish({ data: 1 }, { idempotencyKey })),
    )

    expect(new Set(ids).size).toBe(6)
  })
})
