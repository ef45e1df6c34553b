import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createSseStream } from '../src/http/create-sse-stream.ts'
import { resolveOptions } from '../src/http/options.ts'
import { reportTransport } from '../src/http/transport-report.ts'
import * as hubChannels from '../src/hub/diagnostics.ts'
import { Hub } from '../src/hub/hub.ts'
import { Authorization } from '../src/lifecycle/authorization.ts'
import * as lifecycleChannels from '../src/lifecycle/diagnostics.ts'
import { StreamLimits } from '../src/lifecycle/stream-limits.ts'
import { type Instrument, OBSERVED, RECORDED } from '../src/metrics/instruments.ts'
import * as runChannels from '../src/runs/diagnostics.ts'
import { Runs } from '../src/runs/runs.ts'
import { BrokerStore } from '../src/stores/broker/broker-store.ts'
import type { DriverOwner } from '../src/stores/broker/driver.ts'
import { BROKER_DEFAULTS } from '../src/stores/broker/options.ts'
import * as storeChannels from '../src/stores/diagnostics.ts'
import type { EventStore } from '../src/stores/event-store.ts'
import { memoryStore } from '../src/stores/memory/memory-store.ts'
import { jetstreamCounts, jetstreamRuns, jetstreamStore } from '../src/stores/nats/index.ts'
import { redisCounts, redisPubSubStore, redisRuns, redisStore } from '../src/stores/redis/index.ts'
import * as streamChannels from '../src/stream/diagnostics.ts'
import { openEvents } from '../src/testing/open-events.ts'
import { storeContract } from '../src/testing/store-contract.ts'
import {
  defaultsOf,
  fileOfMethod,
  membersOf,
  publicMembersOf,
  sourceWithout,
  unionOf,
  withoutQuotes,
} from './docs/declarations.ts'
import {
  type Block,
  blocksOf,
  nameOf,
  pageOf,
  pages,
  root,
  rowsOf,
  sectionOf,
  sectionsOf,
  withoutBackticks,
} from './docs/pages.ts'
import { errorOutputOf, isListening, requestOf, responseOf } from './docs/run.ts'
import { toJavaScript } from './docs/type-check.ts'
import { EmptyDriver } from './support/empty-driver.ts'
import { fakeStream, nextTurn, settled } from './support/streams.ts'

const UNKNOWN = { nonsense: 1 } as object

describe('docs/machine.md', () => {
  test('lists the codes of all warnings in alphabetical order', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    const sources = files.filter((name) => name.endsWith('.ts'))
    const texts = sources.map((name) => readFileSync(join(root, 'src', name), 'utf8'))
    const codes = texts.flatMap((text) => text.match(/(?<=')SPILLWAY_[A-Z_0-9]+(?=')/g) ?? [])
    const rows = rowsOf(sectionOf('docs/machine.md', 'Warnings'), 'code')
    expect(rows.map(nameOf)).toEqual([...new Set(codes)].sort())
  })
})

describe('docs/errors.md', () => {
  const codes = unionOf('SseErrorCode')
  const sections = sectionsOf('docs/errors.md')

  test('has a heading for each code and no other heading', () => {
    expect(sections.map(({ heading }) => heading)).toEqual(codes)
  })

  test('lists the codes in alphabetical order', () => {
    expect(codes).toEqual([...codes].sort())
  })

  test('describes only codes that the source throws', () => {
    const source = sourceWithout('src/errors.ts')
    expect(codes.filter((code) => !source.includes(`'${code}'`))).toEqual([])
  })

  // ERR_SSE_STORE needs a broker that fails.
  const causable = sections.filter(({ heading }) => heading !== 'ERR_SSE_STORE')

  test.each(causable)('shows a sample that causes $heading', async ({ heading, text }) => {
    const [sample] = blocksOf({ name: heading, text })
    expect(await errorOutputOf(sample?.code ?? '')).toContain(`code: '${heading}'`)
  })
})

describe('docs/metrics.md', () => {
  const sections = sectionsOf('docs/metrics.md').filter(({ heading }) => heading.startsWith('spillway:'))
  const channels = [streamChannels, lifecycleChannels, hubChannels, runChannels, storeChannels].flatMap(
    Object.values,
  )
  const names = membersOf('DiagnosticsMessages').map(withoutQuotes)

  test('names in DiagnosticsMessages each channel and no other one', () => {
    expect(channels.map(({ name }) => name).sort()).toEqual([...names].sort())
  })

  test('has a heading for each diagnostics channel and no other channel', () => {
    expect(sections.map(({ heading }) => heading)).toEqual(names)
  })

  test('lists exactly the fields of each message', async () => {
    const messages = await messagesOfAllChannels(names)
    const documented = sections.map(({ heading, text }) => [
      heading,
      rowsOf(text, 'field').map(nameOf).sort(),
    ])
    expect(documented).toEqual(names.map((name) => [name, Object.keys(messages.get(name) ?? {}).sort()]))
  })

  test('lists exactly the instruments, with their types, units and own attributes', () => {
    const types = { counter: 'Counter', gauge: 'UpDownCounter', histogram: 'Histogram' }
    const ofStreams: readonly string[] = OBSERVED['spillway.server.active_streams'].attributes
    const instruments: Array<[string, Instrument]> = Object.entries({ ...OBSERVED, ...RECORDED })
    const rows = rowsOf(sectionOf('docs/metrics.md', 'Instruments'), 'instrument')
    expect(rows.map((row) => row.map((cell) => cell.replaceAll('`', '')))).toEqual(
      instruments.map(([name, { kind, unit, attributes, description }]) => {
        const own = attributes.filter((each) => !ofStreams.includes(each))
        return [name, types[kind], unit, own.join(', '), description]
      }),
    )
  })

  test('has a row for each option of OpenTelemetry', () => {
    const documented = rowsOf(sectionOf('docs/metrics.md', 'OpenTelemetry'), 'name').map(nameOf)
    expect(documented).toEqual(membersOf('OpenTelemetryOptions'))
  })

  test('lists exactly the close reasons', () => {
    const text = sections.map((section) => section.text).join('\n')
    expect(rowsOf(text, 'reason').map(nameOf)).toEqual(unionOf('CloseReason'))
  })
})

describe('docs/formats.md', () => {
  const rows = rowsOf(readFileSync(join(root, 'docs/formats.md'), 'utf8'), 'name')

  test('has a row for each option of a long poll, with its default', () => {
    const { longPoll } = resolveOptions(undefined)
    expect(rows.map(([name = '', , value]) => [withoutBackticks(name), value])).toEqual(
      membersOf('LongPollOptions').map((name) => [name, asCell(longPoll[name as keyof typeof longPoll])]),
    )
  })
})

describe('docs/client.md', () => {
  const namesUnder = (heading: string, title: string) =>
    rowsOf(sectionOf('docs/client.md', heading), title).map(nameOf)

  test('has a row for each option, in the order of the interfaces', () => {
    expect(namesUnder('Options', 'name')).toEqual(membersOf('ConnectOptions'))
  })

  test('lists exactly the reasons for a transport, and the codes of errors', () => {
    expect(namesUnder('Fallback', 'reason')).toEqual(unionOf('TransportReason'))
    expect(namesUnder('Errors', 'code')).toEqual(unionOf('SseClientErrorCode'))
  })
})

describe('docs/stream.md', () => {
  test('has a heading for each public member of SseStream and each event, and no other heading', () => {
    const events = membersOf('SseStreamEventMap').map((event) => `Event: ${event}`)
    const headings = sectionsOf('docs/stream.md').map(({ heading }) => heading)
    expect(headings).toEqual([...publicMembersOf('SseStream'), ...events])
  })

  test('lists exactly the close reasons', () => {
    const rows = rowsOf(sectionOf('docs/stream.md', 'closeReason'), 'reason')
    expect(rows.map(nameOf)).toEqual(unionOf('CloseReason'))
  })
})

describe('docs/options.md', () => {
  const page = pageOf('docs/options.md')
  const rows = rowsOf(sectionOf('docs/options.md', undefined), 'name')

  test('has a row for each option, in the order of the interface', () => {
    expect(rows.map(nameOf)).toEqual(membersOf('SseStreamOptions'))
  })

  test('states the default of each option', () => {
    const defaults = resolveOptions(undefined) as unknown as Readonly<Record<string, unknown>>
    // The defaults of a long poll are those of its own table.
    const names = membersOf('SseStreamOptions').filter((name) => name !== 'longPoll')
    const expected = Object.fromEntries(names.map((name) => [name, asCell(defaults[name])]))
    const stated = rows
      .map(([name = '', , value]) => [withoutBackticks(name), value])
      .filter(([name = '']) => name in expected)
    expect(Object.fromEntries(stated)).toEqual(expected)
  })

  test('lists exactly the overflow policies', () => {
    expect(rowsOf(page, 'value').map(nameOf)).toEqual(unionOf('Overflow'))
  })

  test('has a row for each field of a rate limit', async () => {
    const fields = rowsOf(page, 'field').map(nameOf)
    expect(fields).toEqual(membersOf('RateLimit'))
    expect(fields).toEqual(await optionsKnownTo(() => resolveOptions({ rateLimit: UNKNOWN })))
  })
})

describe('docs/handlers.md', () => {
  const tables: Array<[heading: string, type: string]> = [
    ['Response headers', 'SseHandlerOptions'],
    ['Relaying an event stream', 'ParseOptions'],
  ]

  test.each(tables)('has a row under %s for each option of %s', (heading, type) => {
    const documented = rowsOf(sectionOf('docs/handlers.md', heading), 'name').map(nameOf)
    const shared = membersOf('SseStreamOptions')
    expect(documented).toEqual(membersOf(type).filter((name) => !shared.includes(name)))
  })
})

describe('docs/runs.md', () => {
  const rows = rowsOf(sectionOf('docs/runs.md', 'Options'), 'name')

  test('has a row for each option of Runs', async () => {
    expect(rows.map(nameOf)).toEqual(membersOf('RunsOptions'))
    expect(rows.map(nameOf)).toEqual(await optionsKnownTo(() => new Runs(UNKNOWN)))
  })

  test('states the defaults that the comments state', () => {
    const expected = defaultsOf('RunsOptions')
    const stated = rows.map(([name = '', , value = '']) => [withoutBackticks(name), withoutQuotes(value)])
    expect(expected.size).toBeGreaterThan(3)
    expect(stated.filter(([name = '']) => expected.has(name))).toEqual([...expected])
  })

  test('lists exactly the reasons of an end', () => {
    expect(rowsOf(pageOf('docs/runs.md'), 'reason').map(nameOf)).toEqual(unionOf('RunEndReason'))
  })
})

describe('docs/shutdown.md', () => {
  const namesUnder = (heading: string, title: string) =>
    rowsOf(sectionOf('docs/shutdown.md', heading), title).map(nameOf)

  test('has a row for each option, for each member and for each state', () => {
    expect(namesUnder('Options', 'name')).toEqual(membersOf('GracefulShutdownOptions'))
    const members = namesUnder('Options', 'member').map((name) => name.replace('()', ''))
    expect(members).toEqual(membersOf('GracefulShutdown'))
    expect(namesUnder('Phases', '`state`')).toEqual(unionOf('ShutdownState'))
  })
})

describe('docs/hub.md', () => {
  const tables: Array<[heading: string, type: string, use?: () => unknown]> = [
    ['Hub', 'HubOptions', () => new Hub(UNKNOWN)],
    ['Channel', 'ChannelOptions', () => new Hub().channel('a', UNKNOWN)],
    ['Publishing', 'PublishOptions', () => new Hub().channel('a').publish({ data: 1 }, UNKNOWN)],
    ['Subscribing', 'SubscribeOptions', () => new Hub().subscribe(fakeStream().stream, 'a', UNKNOWN)],
    ['The memory store', 'MemoryStoreOptions', () => memoryStore(UNKNOWN)],
    ['Shutdown', 'ShutdownOptions', () => new Hub().shutdown(UNKNOWN)],
  ]
  const tableOf = (heading: string) => rowsOf(sectionOf('docs/hub.md', heading), 'name')

  test.each(tables)('has a row under %s for each option of %s', async (heading, type, use = () => {}) => {
    const documented = tableOf(heading).map(nameOf)
    expect(documented).toEqual(membersOf(type))
    expect(documented).toEqual(await optionsKnownTo(use))
  })

  test.each(tables.filter(([, type]) => defaultsOf(type).size > 0))(
    'states under %s the defaults that the comments of %s state',
    (heading, type) => {
      const stated = tableOf(heading).map(([name = '', , value = '']) => [
        withoutBackticks(name),
        withoutQuotes(value),
      ])
      const expected = defaultsOf(type)
      expect(stated.filter(([name = '']) => expected.has(name))).toEqual([...expected])
    },
  )

  test('states the default limits of the memory store', async () => {
    const limitOf = (option: string) => {
      const [, , value = ''] = tableOf('The memory store').find((row) => nameOf(row) === option) ?? []
      return Number(value.replace(/\D/g, ''))
    }
    const MiB = 2 ** 20
    const maxEvents = limitOf('maxEvents')
    expect(await storedOf(maxEvents + 1, 1)).toBe(maxEvents)
    const maxBytes = limitOf('maxBytes')
    // Data counts twice, as text and as bytes on the wire.
    expect(await storedOf(maxBytes / MiB + 1, MiB / 2 - 600)).toBe(maxBytes / MiB)
  })

  const sample = blocksOf({ name: 'docs/hub.md', text: pageOf('docs/hub.md') }).find(
    ({ mark }) => mark === 'store',
  )
  storeContract({ describe, test }, 'the store of docs/hub.md', () => storeOf(sample?.code ?? ''))

  test('shows a store that rejects a second hub', async () => {
    const store = await storeOf(sample?.code ?? '')
    new Hub({ store })
    expect(() => new Hub({ store })).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
  })
})

describe('the pages of the brokers', () => {
  const redis = { call: async () => {}, duplicate() {}, status: 'ready' }
  const nats = { request() {}, status() {} } as never
  const tables: Array<[page: string, heading: string | undefined, open: () => unknown]> = [
    ['docs/redis.md', undefined, () => redisStore(redis, UNKNOWN)],
    ['docs/redis.md', 'Without history', () => redisPubSubStore(redis, UNKNOWN)],
    ['docs/redis.md', 'Runs', () => redisRuns(redis, UNKNOWN)],
    ['docs/nats.md', undefined, () => jetstreamStore(nats, UNKNOWN)],
    ['docs/nats.md', 'Runs', () => jetstreamRuns(nats, UNKNOWN)],
    ['docs/limits.md', 'Options', () => new StreamLimits(UNKNOWN)],
    ['docs/limits.md', 'Redis', () => redisCounts(redis, UNKNOWN)],
    ['docs/limits.md', 'JetStream', () => jetstreamCounts(nats, UNKNOWN)],
  ]

  test.each(tables)('have in %s (%s) a row for each option of the store', async (page, heading, open) => {
    const documented = rowsOf(sectionOf(page, heading), 'name').map(nameOf)
    expect([...documented].sort()).toEqual((await optionsKnownTo(open)).sort())
  })
})

describe('CONTRIBUTING.md', () => {
  const stepsOf = (mark: string) => {
    const [, text = ''] =
      new RegExp(`<!-- ${mark} -->\\s+\`\`\`text\\n([\\s\\S]*?)\`\`\``).exec(pageOf('CONTRIBUTING.md')) ?? []
    return text.trimEnd().split('\n')
  }
  const namesOf = (steps: string[]) => steps.map((step) => /^\w+\.\w+/.exec(step)?.[0] ?? step)

  test.each([
    ['an event', 'path', 10],
    ['a replay', 'replay', 11],
  ])(
    'draws the path of %s, each step with a function and the file that declares it',
    (_what, mark, count) => {
      const steps = stepsOf(mark)
      expect(steps).toHaveLength(count)
      const declared = namesOf(steps).map((name) => {
        const [type = '', method = ''] = name.split('.')
        return `${name} ${fileOfMethod(type, method)}`
      })
      expect(steps.map((step) => step.split(/ {2,}/).slice(0, 2).join(' '))).toEqual(declared)
    },
  )

  test('draws the path of an event in the order in which a publish calls the functions', async () => {
    const [, ...internal] = namesOf(stepsOf('path'))
    expect(await callsOfPublish(internal)).toEqual(internal)
  })
})

describe('a sample that listens', () => {
  const blocks = pages.filter(({ name }) => name !== 'docs/errors.md').flatMap(blocksOf)
  const needsBroker = ({ code }: Block) => /'spillway\/(redis|nats)'/.test(code)
  const servers = blocks.filter((block) => !block.mark && isListening(block.code) && !needsBroker(block))

  test.concurrent.each(servers)('sends data to a new client ($page, line $line)', async (block) => {
    const response = await responseOf(block, block.curl ? requestOf(block.curl) : {})
    const type = 'text/event-stream; charset=utf-8'
    expect(response).toEqual({ status: 200, type, data: expect.stringMatching(/./) })
  })

  test('fails its test with the error that the sample throws', async () => {
    const code = `throw new Error('broken')\nserver.listen(3000)`
    expect(await responseOf({ language: 'js', code })).toContain('broken')
  })
})

// --- Helpers

/** Returns a default as a table states it. */
function asCell(value: unknown): string {
  if (value === undefined) return 'none'
  if (value === JSON.stringify) return '`JSON.stringify`'
  if (typeof value === 'number') return `\`${String(value).replace(/\B(?=(\d{3})+$)/g, ' ')}\``
  if (Array.isArray(value)) return `\`[${value.map((each) => `'${each}'`).join(', ')}]\``
  return typeof value === 'string' ? `\`'${value}'\`` : `\`${JSON.stringify(value)}\``
}

/** Returns the options that the error for an unknown option lists. */
async function optionsKnownTo(use: () => unknown): Promise<string[]> {
  const message = await Promise.resolve().then(use).then(String, String)
  return /Known options: (.*)\.$/.exec(message)?.[1]?.split(', ') ?? []
}

/** Returns how many of `count` events a memory store with default limits stores. */
async function storedOf(count: number, size: number): Promise<number> {
  const store = memoryStore()
  const channel = new Hub({ store }).channel('a')
  const data = 'x'.repeat(size)
  const ids: string[] = [store.position]
  for (let i = 0; i < count; i++) ids.push(await channel.publish({ data }))
  return count - ids.findIndex((id) => store.read(['a'], id, 1) !== 'gap')
}

/** Returns a new store of the class that a sample exports. */
async function storeOf(sample: string): Promise<EventStore> {
  // A module with a data URL cannot import a package by its name.
  const build = pathToFileURL(join(root, 'dist/esm/index.js')).href
  const code = toJavaScript(sample).replace("from 'spillway'", `from '${build}'`)
  const module: Record<string, new () => EventStore> = await import(
    `data:text/javascript,${encodeURIComponent(code)}`
  )
  const [Store] = Object.values(module)
  if (!Store) throw new Error('The sample exports no store.')
  return new Store()
}

/** Causes a message on every diagnostics channel. Returns the last message of each. */
async function endRun(): Promise<void> {
  const run = await new Runs().start('a', () => ['text'])
  await run.whenEnded()
  await settled()
}

async function messagesOfAllChannels(names: readonly string[]): Promise<Map<string, object>> {
  const messages = new Map<string, object>()
  const record = (message: unknown, name: string | symbol) =>
    void messages.set(String(name), message as object)
  for (const name of names) subscribe(name, record)
  onTestFinished(() => {
    for (const name of names) unsubscribe(name, record)
  })
  await overflowAndDrain()
  await conflateAndDiscard()
  await replayWithGap()
  await skipForeignRecord()
  await dropPublish()
  await failFilter()
  await failLimit()
  await endRun()
  await failAuthorize()
  reportTransport(
    fakeStream().stream,
    { ...resolveOptions(undefined), isChosen: true },
    {
      url: '/?reason=cuts',
      header: () => undefined,
    },
  )
  return messages
}

async function conflateAndDiscard(): Promise<void> {
  const { stream, transport } = fakeStream({
    rateLimit: { eventsPerSecond: 1, burst: 1, excess: 'conflate' },
  })
  for (let i = 0; i < 3; i++) stream.send({ data: i })
  await nextTurn()
  transport.lose()
}

async function overflowAndDrain(): Promise<void> {
  const { stream, transport } = fakeStream({ overflow: 'drop-newest', maxBufferedEvents: 1 })
  transport.isFull = true
  stream.send({ data: 'fills the kernel' })
  await nextTurn()
  stream.send({ data: 'queued' })
  stream.send({ data: 'dropped' })
  transport.drain()
  stream.destroy()
}

async function replayWithGap(): Promise<void> {
  const { stream } = fakeStream({ replay: () => 'gap' }, 'unknown')
  await stream.drained()
}

async function failAuthorize(): Promise<void> {
  const authorize = () => Promise.reject(new Error('no database'))
  const settings = { authorize, reauthorize: 0, authorizeTimeout: 1_000, retry: 1 }
  await new Authorization(fakeStream().stream, settings)._recheck()
}

async function skipForeignRecord(): Promise<void> {
  const settings = { ...BROKER_DEFAULTS, recentEvents: 1, recentBytes: 1, publishTimeout: 1 }
  const store = new BrokerStore(new ForeignRecordDriver(), settings)
  new Hub({ store })
  await store.close()
}

async function failFilter(): Promise<void> {
  const hub = new Hub()
  hub.on('error', () => {})
  hub.subscribe(fakeStream().stream, 'a', { filter: () => undefined as never })
  await hub.channel('a').publish({ data: 1 })
  await nextTurn()
}

async function failLimit(): Promise<void> {
  await new StreamLimits({ maxPerKey: 1, key: () => '' }).admit(fakeStream().stream)
}

async function dropPublish(): Promise<void> {
  const hub = new Hub()
  await hub.shutdown()
  void hub.channel('a').publish({ data: 1 })
  await nextTurn()
  await nextTurn()
}

/** A driver whose broker contains a record that another program wrote. */
class ForeignRecordDriver extends EmptyDriver {
  override async open(owner: DriverOwner): Promise<string> {
    const position = await super.open(owner)
    owner._onEntries([{ id: '1', channel: 'a', record: 'foreign' }])
    return position
  }
}

/** Publishes an event to a client over HTTP/1.1. Returns the names of the given methods in the order of their calls. */
async function callsOfPublish(names: readonly string[]): Promise<string[]> {
  const hub = new Hub()
  const server = createServer((request, response) => {
    hub.subscribe(createSseStream(request, response), 'a')
  })
  const client = await openEvents(server)
  onTestFinished(() => client.close())
  const calls: string[] = []
  for (const name of names) {
    const [type = '', method = ''] = name.split('.')
    const module = await import(join(root, String(fileOfMethod(type, method))))
    const { prototype } = module[type]
    const original = prototype[method]
    vi.spyOn(prototype, method).mockImplementation(function (this: unknown, ...args: unknown[]) {
      calls.push(name)
      return original.apply(this, args)
    })
  }
  onTestFinished(() => void vi.restoreAllMocks())
  await hub.channel('a').publish({ data: 1 })
  await client.next()
  return calls
}
