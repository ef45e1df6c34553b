import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { Registry } from 'prom-client'
import { instrumentSpillway } from 'spillway/opentelemetry'
import { registerMetrics } from 'spillway/prometheus'
import { topicOfSpillway } from '../lib/topics.js'

// How often metrics are collected, in ms. Prometheus does it every 15 s by default, and the SDK of OpenTelemetry every
// 60 s.
const INTERVAL = 5_000

// A reader exports to it. What the export costs is not that of the library.
const exporter = {
  export: (_metrics, done) => done({ code: 0 }),
  forceFlush: async () => {},
  shutdown: async () => {},
}

/** The same hub without metrics and with them. */
export const contenders = {
  off: () => topicOfSpillway(),

  // Shows by how much two processes of the same kind differ.
  'off, again': () => topicOfSpillway(),

  OpenTelemetry() {
    const reader = new PeriodicExportingMetricReader({
      exporter,
      exportIntervalMillis: INTERVAL,
      exportTimeoutMillis: INTERVAL,
    })
    instrumentSpillway({ meterProvider: new MeterProvider({ readers: [reader] }) })
    return topicOfSpillway()
  },

  'prom-client'() {
    const register = new Registry()
    registerMetrics({ register })
    setInterval(() => register.metrics(), INTERVAL).unref()
    return topicOfSpillway()
  },
}
