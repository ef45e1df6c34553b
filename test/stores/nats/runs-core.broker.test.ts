import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { Runs } from '../../../src/runs/runs.ts'
import { jetstreamRuns } from '../../../src/stores/nats/index.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import { numbers, openConnection } from '../../support/nats-hub.ts'
import { closed, idsOf, PushSource, runEventsOf, text } from '../../support/runs.ts'
import { fakeStream } from '../../support/streams.ts'

let broker: Broker
let ids = 0
let id = ''

beforeAll(async () => {
  broker = await startNats()
  return () => broker.end()
})

beforeEach(() => {
  id = `run-${++ids}`
})

/** Opens the `Runs` of another process. */
async function open(): Promise<Runs> {
  const runs = new Runs({ store: jetstreamRuns(await openConnection(broker.port)), lease: 3_000 })
  onTestFinished(() => runs.shutdown({ grace: 0, retry: 0 }))
  return runs
}

test('clients of several processes receive a whole run although the broker is killed in between', async () => {
  const [a, b, late] = [await open(), await open(), await open()]
  await a.start(id, async function* () {
    for (const n of numbers(1, 300)) {
      if (n === 100) void broker.stop('SIGKILL').then(() => broker.start())
      if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      yield text(String(n))
    }
  })
  const clients = [fakeStream(), fakeStream()]
  await a.subscribe((clients[0] as (typeof clients)[0]).stream, id)
  await b.subscribe((clients[1] as (typeof clients)[0]).stream, id)
  const expected = [...numbers(1, 300).map((n) => `text ${n}`), 'end {"reason":"done"}']
  for (const { stream, transport } of clients) {
    expect(await closed(stream)).toBe('server')
    expect(runEventsOf(transport)).toEqual(expected)
  }
  const [, , , place] = idsOf((clients[1] as (typeof clients)[0]).transport)
  const resumed = fakeStream({}, place)
  await late.subscribe(resumed.stream, id)
  await closed(resumed.stream)
  expect(runEventsOf(resumed.transport)).toEqual(expected.slice(4))
})

test('a run is stopped by another process, and reported as lost if its process has died', async () => {
  const [a, b] = [await open(), await open()]
  const source = new PushSource()
  await a.start(id, (signal) => source.read(signal))
  source.push(text('a'))
  const { stream, transport } = fakeStream()
  await b.subscribe(stream, id)
  expect(await b.stop(id)).toBe(true)
  await closed(stream)
  expect(source.isClosed).toBe(true)
  expect(runEventsOf(transport)).toEqual(['text a', 'end {"reason":"stopped"}'])

  const connection = await openConnection(broker.port)
  const dead = new Runs({ store: jetstreamRuns(connection), lease: 3_000 })
  onTestFinished(() => dead.shutdown({ grace: 0, retry: 0 }))
  await dead.start(`${id}-dead`, (signal) => new PushSource().read(signal))
  const orphan = fakeStream()
  await b.subscribe(orphan.stream, `${id}-dead`)
  await connection.close()
  await closed(orphan.stream)
  expect(runEventsOf(orphan.transport)).toEqual(['end {"reason":"lost"}'])
})
