import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Registry } from 'prom-client'
import { expect, onTestFinished } from 'vitest'
import { registerMetrics } from '../../src/metrics/prometheus.ts'

/** The sums of the metrics of a process, of which each event MUST be in exactly one. */
export class Tally {
  readonly #register = new Registry()
  readonly #stopMetrics = registerMetrics({ register: this.#register })
  readonly #hasGapEvents: boolean
  #opened = 0
  // If the store has lost the missing events of a resumed client, the client gets a gap event, which no hub has
  // offered.
  #gapEvents = 0

  /** `hasGapEvents`: each gap is an event that a client is sent. */
  constructor({ hasGapEvents = true } = {}) {
    this.#hasGapEvents = hasGapEvents
    subscribe('spillway:stream:open', this.#onOpen)
    subscribe('spillway:stream:gap', this.#onGap)
    onTestFinished(() => this.stop())
  }

  stop(): void {
    this.#stopMetrics()
    unsubscribe('spillway:stream:open', this.#onOpen)
    unsubscribe('spillway:stream:gap', this.#onGap)
  }

  /** Resolves with a function that returns the sum of a metric over all labels. Of a histogram, its count. */
  async read(): Promise<(name: string) => number> {
    const metrics = await this.#register.getMetricsAsJSON()
    return (name) => {
      const all = metrics.find((each) => each.name === `spillway_${name}`)
      if (!all) throw new Error(`No metric is named ${name}.`)
      const values = all.values as Array<{ value: number; metricName?: string }>
      const counted = values.filter(
        ({ metricName }) => !metricName || metricName.endsWith('_count') || metricName === all.name,
      )
      return counted.reduce((sum, { value }) => sum + value, 0)
    }
  }

  readonly #onOpen = () => {
    this.#opened += 1
  }

  readonly #onGap = () => {
    if (this.#hasGapEvents) this.#gapEvents += 1
  }

  /** Expects that the counts of streams and of events balance. Returns the sums. */
  async expectBalance() {
    const sum = await this.read()
    const streams = { open: sum('server_active_streams'), closed: sum('server_stream_duration_seconds') }
    expect(streams.open + streams.closed).toBe(this.#opened)
    const given = {
      offered: sum('server_offered_events_total'),
      replayed: sum('server_replayed_events_total'),
      gaps: this.#gapEvents,
    }
    const received = {
      sent: sum('server_sent_events_total'),
      queued: sum('server_queued_events'),
      dropped: sum('server_dropped_events_total'),
      conflated: sum('server_conflated_events_total'),
      discarded: sum('server_discarded_events_total'),
      filtered: sum('server_filtered_events_total'),
      deferred: sum('server_deferred_events_total'),
    }
    expect({ ...received, total: totalOf(received) }).toEqual({ ...received, total: totalOf(given) })
    return { ...streams, ...given, ...received }
  }
}

function totalOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
