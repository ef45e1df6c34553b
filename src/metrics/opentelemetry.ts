import {
  type Attributes,
  type Meter,
  type MeterProvider,
  metrics,
  type Observable,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import { checkOptions, isBoolean, isFunction, type SettingsOf } from '../check-options.ts'
import { SseError } from '../errors.ts'
import { type Instrument, OBSERVED, type ObservedName, RECORDED } from './instruments.ts'
import { PublishSpans } from './publish-spans.ts'
import { Recorder, type RecordValue } from './recorder.ts'
import type { MetricsOptions } from './stream-attributes.ts'

export type { MetricsOptions } from './stream-attributes.ts'

export interface OpenTelemetryOptions extends MetricsOptions {
  /**
   * True creates a span for each publish, and a span for each fan-out of its event in a process, with a link to the
   * publish. The trace context is stored with the event. Default false.
   */
  publishSpans?: boolean | undefined
  /** Default: the global provider. */
  meterProvider?: MeterProvider | undefined
  /** Default: the global provider. */
  tracerProvider?: TracerProvider | undefined
}

const isProvider = (method: string) => (value: unknown) =>
  typeof (Object(value) as Readonly<Record<string, unknown>>)[method] === 'function'
    ? undefined
    : `a provider with ${method}`

const CHECKS = {
  route: isFunction,
  publishSpans: isBoolean,
  meterProvider: isProvider('getMeter'),
  tracerProvider: isProvider('getTracer'),
}

/**
 * Records metrics of all streams, hubs and stores of the process with OpenTelemetry, and spans if `publishSpans` is
 * set. Call it once, after the start of the SDK, and before hubs are created and the server listens. Stores and streams
 * that are already open are not counted. Returns a function that ends it.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, also if it was called for the same provider and was not ended.
 */
export function instrumentSpillway(options: OpenTelemetryOptions = {}): () => void {
  const settings: Partial<SettingsOf<OpenTelemetryOptions>> = checkOptions(options, CHECKS)
  const { meterProvider = metrics, tracerProvider = trace, publishSpans = false } = settings
  const release = claim(meterProvider === metrics ? metrics.getMeterProvider() : meterProvider)
  const meter = meterProvider.getMeter('spillway')
  const recorder = new Recorder(recordIn(meter), settings)
  const stopObserving = observeIn(meter, recorder)
  const spans = publishSpans ? new PublishSpans(tracerProvider.getTracer('spillway')) : undefined
  if (spans) {
    recorder.on('spillway:publish:start', (message) => spans.start(message))
    recorder.on('spillway:publish:end', (message) => spans.end(message))
    recorder.on('spillway:channel:fan-out', (message) => spans.fanOut(message))
  }
  return () => {
    recorder.stop()
    stopObserving()
    spans?.stop()
    release()
  }
}

// Shared by the ES module and the CommonJS build of a process.
const CLAIMED = Symbol.for('spillway.meterProviders')

/** Throws if the provider has the metrics, because everything would count twice. Returns a function that ends this. */
function claim(provider: MeterProvider): () => void {
  const shared = globalThis as { [CLAIMED]?: WeakMap<MeterProvider, object> }
  shared[CLAIMED] ??= new WeakMap()
  const claimed = shared[CLAIMED]
  if (claimed.has(provider)) {
    const message =
      'instrumentSpillway was called for this meterProvider before. Stop that first, or call it once.'
    throw new SseError('ERR_SSE_OPTION', message)
  }
  const claimant = {}
  claimed.set(provider, claimant)
  return () => {
    if (claimed.get(provider) === claimant) claimed.delete(provider)
  }
}

function recordIn(meter: Meter): RecordValue {
  const records = Object.entries(RECORDED).map(([name, instrument]: [string, Instrument]) => {
    const { kind, unit, description, buckets } = instrument
    if (kind === 'counter') {
      const counter = meter.createCounter(name, { unit, description })
      return [name, counter.add.bind(counter)] as const
    }
    const advice = buckets ? { explicitBucketBoundaries: [...buckets] } : {}
    const histogram = meter.createHistogram(name, { unit, description, advice })
    return [name, histogram.record.bind(histogram)] as const
  })
  const byName = new Map<string, (value: number, attributes: Attributes) => void>(records)
  return (name, value, attributes) => byName.get(name)?.(value, attributes)
}

function observeIn(meter: Meter, recorder: Recorder): () => void {
  const observables = new Map<ObservedName, Observable>()
  for (const [name, { kind, unit, description }] of Object.entries(OBSERVED)) {
    const create = kind === 'counter' ? 'createObservableCounter' : 'createObservableUpDownCounter'
    observables.set(name as ObservedName, meter[create](name, { unit, description }))
  }
  const all = [...observables.values()]
  const observe = (result: Parameters<Parameters<Meter['addBatchObservableCallback']>[0]>[0]) =>
    recorder.observe((name, value, attributes) =>
      result.observe(observables.get(name) as Observable, value, attributes),
    )
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}
