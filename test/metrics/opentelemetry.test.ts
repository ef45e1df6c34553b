import { channel } from 'node:diagnostics_channel'
import { context, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type TracerConfig,
} from '@opentelemetry/sdk-trace-base'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { instrumentSpillway, type OpenTelemetryOptions } from '../../src/metrics/opentelemetry.ts'
import { Recorder } from '../../src/metrics/recorder.ts'
import { BrokerStore } from '../../src/stores/broker/broker-store.ts'
import { BROKER_DEFAULTS } from '../../src/stores/broker/options.ts'
import { listen } from '../support/diagnostics.ts'
import { EmptyDriver } from '../support/empty-driver.ts'
import { subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const STREAM = { 'spillway.transport': 'stream', 'spillway.format': 'event-stream' }

/** Starts the metrics with an SDK that keeps them in memory. */
function start(options: OpenTelemetryOptions = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const stop = instrumentSpillway({ meterProvider, ...options })
  onTestFinished(async () => {
    stop()
    await reader.shutdown()
  })

  /** Resolves with the metrics by their names. */
  const collect = async () => {
    exporter.reset()
    await reader.forceFlush()
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
    return new Map(metrics.flatMap(({ metrics }) => metrics).map((each) => [each.descriptor.name, each]))
  }
  /** Resolves with the values of a metric. Of a histogram, their sum. */
  const valuesOf = async (name: string) => {
    const points = (await collect()).get(name)?.dataPoints ?? []
    return points.map(({ attributes, value }) => ({
      attributes,
      value: typeof value === 'number' ? value : value.count,
    }))
  }
  return { stop, collect, valuesOf, meterProvider }
}

describe('instrumentSpillway', () => {
  it('counts the open streams, and the duration of those that have closed', async () => {
    const { collect, valuesOf } = start()
    const { stream } = fakeStream()
    fakeStream()
    expect(await valuesOf('spillway.server.active_streams')).toEqual([{ attributes: STREAM, value: 2 }])

    stream.destroy(Object.assign(new Error('broken'), { code: 'ECONNRESET' }))

    expect(await valuesOf('spillway.server.active_streams')).toEqual([{ attributes: STREAM, value: 1 }])
    const attributes = { ...STREAM, 'spillway.close.reason': 'error', 'error.type': 'ECONNRESET' }
    expect(await valuesOf('spillway.server.stream.duration')).toEqual([{ attributes, value: 1 }])
    const { descriptor, dataPoints } = (await collect()).get('spillway.server.stream.duration') ?? {}
    expect(descriptor?.unit).toBe('s')
    expect(dataPoints?.[0]?.value).toMatchObject({ buckets: { boundaries: expect.arrayContaining([3600]) } })
  })

  it('counts sent events and bytes of open and closed streams, which never decrease', async () => {
    const { valuesOf } = start()
    const { stream, transport } = fakeStream()
    const sent = async () => (await valuesOf('spillway.server.sent_events')).map(({ value }) => value)
    stream.send({ data: 1 })
    await nextTurn()
    expect(await sent()).toEqual([1])

    stream.send({ data: 2 })
    await nextTurn()
    stream.destroy()

    expect(await sent()).toEqual([2])
    const bytes = Buffer.byteLength(transport.all.join(''))
    expect(await valuesOf('spillway.server.sent_bytes')).toEqual([{ attributes: STREAM, value: bytes }])
  })

  it('counts dropped events by policy, queued ones and those discarded at the close', async () => {
    const { valuesOf } = start()
    const { stream, transport } = fakeStream({ overflow: 'drop-oldest', maxBufferedEvents: 2 })
    transport.isFull = true
    for (let i = 0; i < 2; i++) {
      stream.send({ data: 'fills the kernel' })
      await nextTurn()
    }
    for (let i = 0; i < 3; i++) stream.send({ data: i })
    await nextTurn()
    const dropped = { ...STREAM, 'spillway.overflow.policy': 'drop-oldest' }
    expect(await valuesOf('spillway.server.dropped_events')).toEqual([{ attributes: dropped, value: 2 }])
    expect(await valuesOf('spillway.server.queued_events')).toEqual([{ attributes: STREAM, value: 2 }])

    transport.lose()

    const discarded = { ...STREAM, 'spillway.close.reason': 'client' }
    expect(await valuesOf('spillway.server.discarded_events')).toEqual([{ attributes: discarded, value: 2 }])
    expect(await valuesOf('spillway.server.queued_events')).toEqual([{ attributes: STREAM, value: 0 }])
  })

  it('counts no comment as a dropped event', async () => {
    const { valuesOf } = start()
    const { stream, transport } = fakeStream({ overflow: 'drop-newest', maxBufferedEvents: 1 })
    transport.isFull = true
    for (const data of ['fills the kernel', 'fills the queue']) {
      stream.send({ data })
      await nextTurn()
    }

    expect(stream.comment('does not fit')).toBe(false)
    await nextTurn()

    expect(await valuesOf('spillway.server.dropped_events')).toEqual([])
    transport.drain()
    expect(transport.all.join('')).not.toContain('does not fit')
  })

  it('records the lag of a client that catches up', async () => {
    const { valuesOf } = start()
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    transport.drain()

    expect(await valuesOf('spillway.server.queue.lag')).toEqual([{ attributes: STREAM, value: 1 }])
  })

  it('records replays and gaps by their reasons', async () => {
    const { valuesOf } = start()
    const { stream } = fakeStream({ replay: () => 'gap' }, 'unknown')
    await stream.drained()
    await settled()

    const gap = { ...STREAM, 'spillway.gap.reason': 'unknown' }
    expect(await valuesOf('spillway.server.gaps')).toEqual([{ attributes: gap, value: 1 }])
    expect(await valuesOf('spillway.server.replay.duration')).toEqual([{ attributes: STREAM, value: 1 }])
  })

  it('records publishes by their errors, and the deliveries of a hub, without the names of channels', async () => {
    const { collect, valuesOf } = start()
    const hub = new Hub()
    await subscribed(hub, ['secret'])
    await subscribed(hub, ['secret'])
    await hub.channel('secret').publish({ data: 1 })
    await settled()
    await hub.shutdown({ grace: 0 })

    expect(await valuesOf('spillway.publish.duration')).toEqual([{ attributes: {}, value: 1 }])
    expect(await valuesOf('spillway.server.offered_events')).toEqual([{ attributes: {}, value: 2 }])
    expect(JSON.stringify([...(await collect()).values()])).not.toContain('secret')
  })

  it('counts the stores in each state, and forgets a closed one', async () => {
    const { valuesOf } = start()
    const driver = new EmptyDriver()
    const store = new BrokerStore(driver, {
      ...BROKER_DEFAULTS,
      recentEvents: 1,
      recentBytes: 1,
      publishTimeout: 1,
    })
    const states = async () => {
      const points = await valuesOf('spillway.store.state')
      return points
        .filter(({ value }) => value > 0)
        .map(({ attributes }) => attributes['spillway.store.state'])
    }
    new Hub({ store })
    expect(await states()).toEqual(['ready'])

    driver.owner._onState('reconnecting')
    expect(await states()).toEqual(['reconnecting'])

    await store.close()
    expect(await states()).toEqual([])
  })

  it('does not count a stream that was open before, so that its close does not count either', async () => {
    const { stream } = fakeStream()
    const { valuesOf } = start()
    fakeStream()

    stream.destroy()

    expect(await valuesOf('spillway.server.active_streams')).toEqual([{ attributes: STREAM, value: 1 }])
    expect(await valuesOf('spillway.server.stream.duration')).toEqual([])
  })

  it('has the route that the option returns, and none if it fails', async () => {
    const onWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => onWarning.mockRestore())
    const route = vi
      .fn()
      .mockReturnValueOnce('/events')
      .mockImplementation(() => {
        throw new Error('broken')
      })
    const { valuesOf } = start({ route })
    fakeStream()
    fakeStream()

    expect(await valuesOf('spillway.server.active_streams')).toEqual([
      { attributes: { ...STREAM, 'http.route': '/events' }, value: 1 },
      { attributes: STREAM, value: 1 },
    ])
    expect(onWarning).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('broken'))
  })

  it('calls the option route once for a stream, also if it discards events after its close', async () => {
    const route = vi.fn().mockReturnValueOnce('/first').mockReturnValue('/later')
    const { valuesOf } = start({ route })
    const { stream, transport } = fakeStream()
    transport.isFull = true
    for (let i = 0; i < 2; i++) {
      stream.send({ data: i })
      await nextTurn()
    }
    stream.destroy()

    const discarded = { ...STREAM, 'http.route': '/first', 'spillway.close.reason': 'server' }
    expect(await valuesOf('spillway.server.discarded_events')).toEqual([{ attributes: discarded, value: 1 }])
    expect(route).toHaveBeenCalledOnce()
  })

  it('leaves no subscriber and no callback when it is stopped', async () => {
    const { stop, collect } = start({ publishSpans: true })
    fakeStream()
    stop()

    for (const name of ['stream:open', 'stream:close', 'publish:start', 'channel:fan-out', 'store:state'])
      expect([name, channel(`spillway:${name}`).hasSubscribers]).toEqual([name, false])
    expect([...(await collect()).keys()]).not.toContain('spillway.server.active_streams')
  })

  it('counts nothing twice when it is called again for the same provider', async () => {
    const { valuesOf, meterProvider } = start()
    expect(() => instrumentSpillway({ meterProvider })).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
    fakeStream().stream.destroy()

    const [duration] = await valuesOf('spillway.server.stream.duration')
    expect(duration?.value).toBe(1)
  })

  it('can be called again for the same provider after it was stopped', async () => {
    const { stop, valuesOf, meterProvider } = start()
    stop()
    onTestFinished(instrumentSpillway({ meterProvider }))
    stop()
    fakeStream()

    expect(() => instrumentSpillway({ meterProvider })).toThrow('before')

    expect(await valuesOf('spillway.server.active_streams')).toEqual([{ attributes: STREAM, value: 1 }])
  })

  it('releases the open streams when it is stopped', () => {
    const recorder = new Recorder(() => {}, {})
    fakeStream()
    recorder.stop()

    const observed = vi.fn()
    recorder.observe(observed)
    expect(observed).not.toHaveBeenCalled()
  })

  it('throws for an unknown option and for a provider that is none', () => {
    const code = expect.objectContaining({ code: 'ERR_SSE_OPTION' })
    expect(() => instrumentSpillway({ nonsense: 1 } as object)).toThrow(code)
    expect(() => instrumentSpillway({ meterProvider: {} as never })).toThrow(code)
  })
})

describe('the spans of a publish', () => {
  /** Starts spans that are kept in memory. */
  function startSpans(config: TracerConfig = {}, options: OpenTelemetryOptions = { publishSpans: true }) {
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({
      ...config,
      spanProcessors: [new SimpleSpanProcessor(exporter)],
    })
    const { stop } = start({ tracerProvider, ...options })
    return { stop, exporter, tracer: tracerProvider.getTracer('test') }
  }

  it('are not created by default', async () => {
    const { exporter } = startSpans({}, {})
    const hub = new Hub()
    await subscribed(hub, ['a'])

    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(exporter.getFinishedSpans()).toEqual([])
  })

  it('are a child of the active span, and a span that links to it where the event is delivered', async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    onTestFinished(() => context.disable())
    const { exporter, tracer } = startSpans()
    const hub = new Hub()
    await subscribed(hub, ['secret'])
    const parent = tracer.startSpan('parent')

    const id = await context.with(trace.setSpan(context.active(), parent), () =>
      hub.channel('secret').publish({ data: 1 }),
    )
    await settled()

    const [publish, deliver] = exporter.getFinishedSpans()
    expect(publish).toMatchObject({ name: 'spillway publish', kind: SpanKind.PRODUCER })
    expect(publish?.parentSpanContext?.spanId).toBe(parent.spanContext().spanId)
    expect(publish?.attributes['messaging.message.id']).toBe(id)
    expect(deliver).toMatchObject({ name: 'spillway deliver', kind: SpanKind.CONSUMER })
    const { traceId, spanId } = publish?.spanContext() ?? {}
    expect(deliver?.links.map(({ context }) => context)).toEqual([
      { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true },
    ])
    expect(deliver?.parentSpanContext).toBeUndefined()
    expect(JSON.stringify([publish?.attributes, deliver?.attributes])).not.toContain('secret')
  })

  it('are one for the events of a turn, with a link for each', async () => {
    const { exporter } = startSpans()
    const hub = new Hub()
    await subscribed(hub, ['a'])

    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: i })
    await settled()

    const delivers = exporter.getFinishedSpans().filter(({ name }) => name === 'spillway deliver')
    expect(delivers.map(({ links }) => links.length)).toEqual([3])
  })

  it.each([
    ['a trace of zeros', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
    ['a span of zeros', `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`],
    ['a number, which another subscriber has set', 7 as never],
  ])('link to no event with %s', async (_, traceparent) => {
    const { exporter } = startSpans()
    listen('spillway:publish:start', (message) => {
      message.trace = { traceparent }
    })
    const hub = new Hub()
    await subscribed(hub, ['a'])

    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['spillway publish'])
  })

  it('have the error of a publish that was rejected', async () => {
    const { exporter } = startSpans()
    const driver = new EmptyDriver()
    driver.append = () => Promise.reject(Object.assign(new Error('lost'), { code: 'ERR_SSE_STORE' }))
    const settings = { ...BROKER_DEFAULTS, recentEvents: 1, recentBytes: 1, publishTimeout: 1_000 }
    const hub = new Hub({ store: new BrokerStore(driver, settings) })

    await hub
      .channel('a')
      .publish({ data: 1 })
      .catch(() => {})

    expect(exporter.getFinishedSpans()).toMatchObject([
      { status: { code: SpanStatusCode.ERROR }, attributes: { 'error.type': 'ERR_SSE_STORE' } },
    ])
  })

  it('end when the metrics are stopped, also of a publish that is pending', async () => {
    const { exporter, stop } = startSpans()
    const driver = new EmptyDriver()
    driver.append = () => new Promise(() => {})
    const settings = { ...BROKER_DEFAULTS, recentEvents: 1, recentBytes: 1, publishTimeout: 1_000_000 }
    const hub = new Hub({ store: new BrokerStore(driver, settings) })
    void hub.channel('a').publish({ data: 1 })
    await settled()

    stop()

    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['spillway publish'])
  })

  it('store no context for a trace that is not sampled', async () => {
    startSpans({ sampler: new AlwaysOffSampler() })
    const driver = new EmptyDriver()
    const append = vi.spyOn(driver, 'append')
    const settings = { ...BROKER_DEFAULTS, recentEvents: 1, recentBytes: 1, publishTimeout: 1_000 }
    const hub = new Hub({ store: new BrokerStore(driver, settings) })

    await hub.channel('a').publish({ data: 1 })

    expect(append.mock.calls[0]?.[1]).toBe('{"data":"1","isText":false,"conflate":false}')
  })
})
