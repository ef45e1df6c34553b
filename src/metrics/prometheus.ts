import {
  Counter,
  Gauge,
  register as globalRegister,
  Histogram,
  type Metric,
  type OpenMetricsContentType,
  type Registry,
} from 'prom-client'
import { checkOptions, isFunction } from '../check-options.ts'
import { type Attributes, type Instrument, OBSERVED, RECORDED } from './instruments.ts'
import type { Observe } from './open-streams.ts'
import { Recorder } from './recorder.ts'
import type { MetricsOptions } from './stream-attributes.ts'

export type { MetricsOptions } from './stream-attributes.ts'

type AnyRegistry = Registry | Registry<OpenMetricsContentType>

export interface PrometheusOptions extends MetricsOptions {
  /** Where the metrics are registered. Default: the global registry of prom-client. */
  register?: AnyRegistry | undefined
}

const CHECKS = { route: isFunction, register: isRegistry }

/**
 * Registers metrics of all streams, hubs and stores of the process with prom-client. Call it once, before hubs are
 * created and the server listens, because stores and streams that are open already are not counted. Returns a function
 * that removes them.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, and the error of prom-client for a registry that has them.
 */
export function registerMetrics(options: PrometheusOptions = {}): () => void {
  const settings = checkOptions(options, CHECKS)
  const recorded = new Map(
    Object.entries(RECORDED).map(([name, instrument]) => [name, createRecorded(name, instrument)]),
  )
  const points = new ObservedPoints((observe) => recorder.observe(observe))
  const observed = Object.entries(OBSERVED).map(([name, instrument]) =>
    createObserved(name, instrument, points),
  )
  const remove = registerAll(settings.register ?? globalRegister, [...recorded.values(), ...observed])
  const recorder = new Recorder((name, value, attributes) => {
    const metric = recorded.get(name)
    if (metric instanceof Histogram) metric.observe(labelsOf(attributes), value)
    else metric?.inc(labelsOf(attributes), value)
  }, settings)
  return () => {
    recorder.stop()
    remove()
  }
}

/** Registers all metrics or, if the registry has one of their names, none. Returns a function that removes them. */
function registerAll(register: AnyRegistry, metrics: readonly Metric[]): () => void {
  // Other metrics may have the names now, because the registry may have been cleared meanwhile.
  const remove = () => {
    for (const metric of metrics) {
      const { name } = metric as unknown as { readonly name: string }
      if (register.getSingleMetric(name) === metric) register.removeSingleMetric(name)
    }
  }
  try {
    for (const metric of metrics) register.registerMetric(metric)
  } catch (error) {
    remove()
    throw error
  }
  return remove
}

function createRecorded(name: string, instrument: Instrument): Counter | Histogram {
  const config = configOf(name, instrument)
  if (instrument.kind === 'counter') return new Counter(config)
  return new Histogram({ ...config, buckets: [...(instrument.buckets ?? [])] })
}

/** Creates a metric whose values are read when it is collected. */
function createObserved(name: string, instrument: Instrument, points: ObservedPoints): Counter | Gauge {
  const Metric = instrument.kind === 'counter' ? Counter : Gauge
  return new Metric({
    ...configOf(name, instrument),
    collect() {
      this.reset()
      for (const { labels, value } of points.of(name)) this.inc(labels, value)
    },
  })
}

interface Point {
  readonly labels: Record<string, string>
  readonly value: number
}

/**
 * The values to which the metrics are set when they are collected. The open streams are visited once for all metrics.
 */
class ObservedPoints {
  readonly #observeAll: (observe: Observe) => void
  #points: Map<string, Point[]> | undefined

  constructor(observeAll: (observe: Observe) => void) {
    this.#observeAll = observeAll
  }

  of(name: string): readonly Point[] {
    this.#points ??= this.#read()
    return this.#points.get(name) ?? []
  }

  #read(): Map<string, Point[]> {
    const points = new Map<string, Point[]>()
    this.#observeAll((name, value, attributes) => {
      const present = points.get(name) ?? []
      present.push({ labels: labelsOf(attributes), value })
      points.set(name, present)
    })
    // A registry collects all its metrics in one turn.
    queueMicrotask(() => {
      this.#points = undefined
    })
    return points
  }
}

function configOf(name: string, instrument: Instrument) {
  const { description: help, attributes } = instrument
  return {
    name: nameOf(name, instrument),
    help,
    labelNames: attributes.map(toUnderscores),
    // Empty, because all metrics are registered together.
    registers: [],
  }
}

/** Returns the name that the Collector of OpenTelemetry gives the same instrument for Prometheus. */
function nameOf(name: string, { kind, unit }: Instrument): string {
  return `${toUnderscores(name)}${unit === 's' ? '_seconds' : ''}${kind === 'counter' ? '_total' : ''}`
}

function labelsOf(attributes: Attributes): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [toUnderscores(name), value]))
}

function toUnderscores(name: string): string {
  return name.replaceAll('.', '_')
}

function isRegistry(value: unknown): string | undefined {
  const { registerMetric } = Object(value) as Partial<Registry>
  return typeof registerMetric === 'function' ? undefined : 'a Registry of prom-client'
}
