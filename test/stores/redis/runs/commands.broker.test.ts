import { describe, expect, it } from 'vitest'
import {
  admin,
  CLIENTS,
  commandsOf,
  connections,
  key,
  onlyAdminIsConnected,
} from '../../../support/redis-hub.ts'
import { batch, collect, HOUR, newSignal, openRuns, startRun } from '../../../support/redis-runs.ts'

const RUNS = 300
// What a script appends at most.
const MAX_APPENDS = 128

const pubSubConnections = async () =>
  String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub')).match(/^id=/gm)?.length ?? 0
const channels = async () => ((await admin.pubsub('CHANNELS', `{${key}}*`)) as string[]).length

describe.each(CLIENTS)('a store of runs with a client of %s', (_name, client) => {
  it('sends the appends of all runs in one turn with a few commands', async () => {
    const [store, ...others] = [openRuns(client()), openRuns(client()), openRuns(client())]
    const runs = await Promise.all(Array.from({ length: RUNS }, (_, i) => startRun(store, `run ${i}`)))
    // In two processes with a subscriber each.
    const collected = await Promise.all(
      others.flatMap((other) => runs.map(({ id, epoch }) => collect(other, id, epoch))),
    )
    await runs[0]?.append(batch(1, 'a'))
    const counts = () => Promise.all(['evalsha', 'eval', 'xadd', 'publish', 'subscribe'].map(commandsOf))
    const before = await counts()
    await Promise.all(runs.slice(1).map(({ append }) => append(batch(1, 'a'))))
    await expect.poll(() => collected.every(({ texts }) => texts.length === 1)).toBe(true)
    const sent = (await counts()).map((count, i) => count - (before[i] as number))
    expect(sent).toEqual([Math.ceil((RUNS - 1) / MAX_APPENDS), 0, RUNS - 1, RUNS - 1, 0])
  })

  it('appends a batch that is larger than a command should be', async () => {
    const store = openRuns(client())
    const runs = await Promise.all(['a', 'b', 'c'].map((id) => startRun(store, id)))
    const text = 'x'.repeat(200_000)
    await Promise.all(runs.map(({ append }) => append(batch(1, text, text))))
    for (const run of runs) expect(await run.texts()).toEqual([text, text])
  })

  it('skips messages and an entry of other programs', async () => {
    const [store, other] = [openRuns(client()), openRuns(client())]
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    const name = `{${key}}:run:${run.id}`
    await run.append(batch(1, 'a'))
    const injected = JSON.stringify([['y', 1, 'evt\nid: evil\ndata: injected']])
    for (const record of ['[[null,1]]', '[[5]]', injected, '[null]'])
      await admin.publish(name, `${run.epoch}-2 ${record}`)
    await run.append(batch(2, 'b'))
    await expect.poll(() => collected.texts).toEqual(['a', 'b'])
    await admin.xadd(name, `${run.epoch}-3`, 'foo', 'bar')
    expect(await run.texts(other)).toEqual(['a', 'b'])
    expect(await run.append(batch(3, 'c'))).toBe(false)
    await admin.xadd(name, `${run.epoch}-9007199254740993`, 'batch', '[["x",1]]')
    expect(await run.texts(other)).toEqual(['a', 'b'])
    expect(await store.find(run.id)).toBeUndefined()
    await expect(store.start(run.id, 'me', HOUR)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  })

  it('subscribes to many runs over one connection, and unsubscribes', async () => {
    const [store, other] = [openRuns(client()), openRuns(client())]
    const runs = await Promise.all(Array.from({ length: RUNS }, (_, i) => startRun(store, `run ${i}`)))
    const before = await commandsOf('subscribe')
    const collected = await Promise.all(runs.map(({ id, epoch }) => collect(other, id, epoch)))
    expect((await commandsOf('subscribe')) - before).toBe(1)
    expect([await channels(), await pubSubConnections()]).toEqual([RUNS, 1])
    for (const { watch } of collected) watch.close()
    await expect.poll(channels).toBe(0)
    // In the other direction, without waiting in between.
    const [run] = runs as [(typeof runs)[0]]
    const again = await collect(other, run.id, run.epoch)
    again.watch.close()
    const twice = await collect(other, run.id, run.epoch)
    await run.append(batch(1, 'a'))
    await expect.poll(() => twice.texts).toEqual(['a'])
    expect(again.texts).toEqual([])
  })

  it('opens connections when they are needed, and closes all of them', async () => {
    await onlyAdminIsConnected()
    const store = openRuns(client())
    expect(await connections()).toBe(1)
    const run = await startRun(store)
    expect(await connections()).toBe(2)
    await run.texts()
    expect(await connections()).toBe(3)
    await collect(store, run.id, run.epoch)
    expect([await connections(), await pubSubConnections()]).toEqual([3, 1])
    await store.close()
    await onlyAdminIsConnected()
    await expect.poll(pubSubConnections).toBe(0)
    await expect(store.find(run.id)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    const { ready } = store.watch(run.id, run.epoch, { onBatch: () => {}, onInterruption: () => {} })
    await ready
  })

  it('needs the permissions of docs/redis.md only', async () => {
    const commands =
      'DEL EVAL EVALSHA EXISTS PEXPIRE PING PTTL PUBLISH PUBSUB SET SUBSCRIBE TIME TYPE UNLINK UNSUBSCRIBE XADD XGROUP XINFO XRANGE XREVRANGE'
    // Those that a client sends to connect.
    const rules = [...commands.split(' '), 'HELLO', 'CLIENT', 'INFO'].map((name) => `+${name.toLowerCase()}`)
    const channel = `{${key}}*`
    await admin.call(
      'ACL',
      'SETUSER',
      'runs',
      'reset',
      'on',
      '>secret',
      `~${channel}`,
      `&${channel}`,
      ...rules,
    )
    const store = openRuns(client(undefined, { username: 'runs', password: 'secret' }))
    const other = openRuns(client(undefined, { username: 'runs', password: 'secret' }))
    store.serve({ name: 'me', onStop: () => {} }, 10_000)
    await store.renew()
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    expect(await run.append(batch(1, 'a'))).toBe(true)
    await store.append(
      run.id,
      run.epoch,
      { ...batch(2, 'b'), end: 'done' },
      { evictBefore: 2, keep: HOUR },
      newSignal(),
    )
    await expect.poll(() => collected.texts).toEqual(['a', 'b'])
    expect(await other.find(run.id)).toMatchObject({ last: 2, end: 'done' })
    expect(await other.isAlive('me')).toBe(true)
    expect(await other.isWatched(run.id, run.epoch)).toBe(true)
    await other.requestStop('me', run.id, run.epoch)
    collected.watch.close()
    expect(await other.remove(run.id)).toBe(true)
    await expect.poll(channels).toBe(1)
  })
})
