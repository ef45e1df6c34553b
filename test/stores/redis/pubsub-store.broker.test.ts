import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startProxy } from '../../support/proxy.ts'
import {
  admin,
  broker,
  CLIENTS,
  commandsOf,
  key,
  killConnections,
  numbers,
  openPubSub,
  publish,
  reconnect,
  seen,
  statesOf,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { fakeStream } from '../../support/streams.ts'

describe.each(CLIENTS)('Pub/Sub with a client of %s', (_name, newClient) => {
  it('delivers the events of each process to all of them', async () => {
    const [one, two] = [openPubSub(newClient()), openPubSub(newClient())]
    const [left, right] = await Promise.all([subscribeClient(one), subscribeClient(two)])
    for (let n = 0; n < 10; n++) await (n % 2 ? one : two).channel('a').publish({ data: { n } })
    const expected = numbers(0, 10).map((n) => `{"n":${n}}`)
    expect(await seen(left, 10)).toEqual(expected)
    expect(await seen(right, 10)).toEqual(expected)
  })

  it('resumes a client in the same process, and sends a gap in another one', async () => {
    const [one, two] = [openPubSub(newClient()), openPubSub(newClient())]
    const client = await subscribeClient(one)
    const other = await subscribeClient(two)
    await publish(one, 0, 1)
    await seen(client, 1)
    await publish(one, 1, 3)
    const position = client.lastEventId
    client.connect()
    expect(await seen(client, 3)).toEqual(['0', '1', '2'])
    // By then the other process has received all events too.
    await seen(other, 3)
    expect(await seen(reconnect(two, position), 1)).toEqual(['gap'])
  })

  it('sends a gap after its connection was lost, and continues', async () => {
    const hub = openPubSub(newClient())
    const client = await subscribeClient(hub)
    await publish(hub, 0, 1)
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => client.transport.writes.join('')).toContain('event: gap')
    await publish(hub, 1, 2)
    expect(await seen(client, 3)).toEqual(['0', 'gap', '1'])
  })

  it('sends a gap before an event that arrives together with the response to its subscription', async () => {
    const proxy = await startProxy(broker.port)
    const hub = openPubSub(newClient(proxy.port))
    const client = await subscribeClient(hub)
    await publish(hub, 0, 1)
    proxy.holdAfter(/subscribe/i, /late/)
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const other = openPubSub()
    await other.channel('b').publish({ data: 'missed' })
    await expect.poll(() => admin.pubsub('NUMSUB', key)).toEqual([key, 2])
    await other.channel('a').publish({ data: 'late' })
    expect(await seen(client, 3)).toEqual(['0', 'gap', 'late'])
  })

  it('skips messages of other programs', async () => {
    const hub = openPubSub(newClient())
    const client = await subscribeClient(hub)
    const foreign = ['no JSON', '{}', '{"channel":"a","data":"1"}', '{"data":"1","idempotencyKey":"k"}']
    const invalid = '{"channel":"a","event":"a\\nb","data":"1","idempotencyKey":"k"}'
    for (const text of [...foreign, invalid]) await admin.publish(key, text)
    await publish(hub, 0, 1)
    expect(await seen(client, 1)).toEqual(['0'])
  })

  it('resolves every publish of one idempotency key, also of those that overlap', async () => {
    const channel = openPubSub(newClient(), { publishTimeout: 3_000 }).channel('a')
    for (let round = 0; round < 100; round++) {
      const publishOnce = () => channel.publish({ data: round }, { idempotencyKey: `key ${round}` })
      const rounds = [publishOnce(), publishOnce(), publishOnce()].map((first) => first.then(publishOnce))
      const [id, ...others] = await Promise.all([publishOnce(), ...rounds])
      expect(others).toEqual([id, id, id])
    }
  })

  it('is ready again without a gap if only the writer was lost', async () => {
    const hub = openPubSub(newClient())
    const states = statesOf(hub)
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 1)
    await killConnections()
    await expect.poll(() => states).toEqual(['ready', 'reconnecting', 'ready'])
    await publish(hub, 1, 2)
    expect(await seen(reader, 2)).toEqual(['0', '1'])
  })

  it('destroys the first stream if the user may not subscribe', async () => {
    await admin.call('ACL', 'SETUSER', 'deaf', 'on', '>p', '~*', '+@all', 'resetchannels')
    const hub = openPubSub(newClient(broker.port, { username: 'deaf', password: 'p' }))
    const { stream } = fakeStream()
    hub.subscribe(stream, ['a'])
    await expect.poll(() => stream.closeReason).toBe('error')
    expect(hub.state).toBe('connecting')
  })

  it('rejects a publish that was not delivered as soon as the hub is shut down', async () => {
    await admin.call('ACL', 'SETUSER', 'muted', 'on', '>p', '~*', '&*', '+@all')
    const user = { username: 'muted', password: 'p' }
    const hub = openPubSub(newClient(broker.port, user), { publishTimeout: 60_000 })
    await publish(hub, 0, 1)
    const before = await commandsOf('publish')
    // Otherwise it may be subscribed again before the publish.
    await admin.call('ACL', 'SETUSER', 'muted', '-subscribe')
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const failed = expect(hub.channel('a').publish({ data: 1 })).rejects
    await expect.poll(() => commandsOf('publish')).toBe(before + 1)
    await hub.shutdown({ grace: 0 })
    await failed.toMatchObject({ code: 'ERR_SSE_STORE', message: 'The connection to the broker is closed.' })
  })

  it('rejects a delivered publish without a response if it is closed, and nothing else', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    onTestFinished(() => void process.off('unhandledRejection', unhandled))
    const proxy = await startProxy(broker.port)
    const hub = openPubSub(newClient(proxy.port))
    const client = await subscribeClient(hub)
    proxy.muteAfter(/publish/i)
    const failed = expect(hub.channel('a').publish({ data: 0 })).rejects
    expect(await seen(client, 1)).toEqual(['0'])
    await hub._store.close()
    await failed.toMatchObject({ code: 'ERR_SSE_STORE' })
    // An unhandled rejection is reported at the end of the turn.
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('replaces a half-open connection', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const proxy = await startProxy(broker.port)
    const hub = openPubSub(newClient(proxy.port), { publishTimeout: 1_000 })
    const states = statesOf(hub)
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 1)
    proxy.silence()
    vi.advanceTimersByTime(5_000)
    await expect.poll(() => states).toEqual(['ready', 'reconnecting', 'ready'])
    await publish(openPubSub(), 1, 2)
    expect(await seen(reader, 3)).toEqual(['0', 'gap', '1'])
  })
})
