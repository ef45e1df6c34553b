import { channel } from 'node:diagnostics_channel'
import { Gauge, type OpenMetricsContentType, Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { registerMetrics } from '../../src/metrics/prometheus.ts'
import { fakeStream, nextTurn } from '../support/streams.ts'

function start() {
  const register = new Registry()
  const stop = registerMetrics({ register })
  onTestFinished(stop)
  /** Resolves with the lines of metrics whose names begin with a text, without those of buckets. */
  const linesOf = async (name: string) => {
    const lines = (await register.metrics()).split('\n')
    return lines.filter((line) => line.startsWith(`spillway_${name}`) && !line.includes('_bucket'))
  }
  return { register, stop, linesOf }
}

const STREAM = 'spillway_transport="stream",spillway_format="event-stream"'

describe('registerMetrics', () => {
  it('has a gauge of open streams, which is read when it is collected', async () => {
    const { linesOf } = start()
    const { stream } = fakeStream()
    fakeStream()
    expect(await linesOf('server_active_streams')).toEqual([`spillway_server_active_streams{${STREAM}} 2`])

    stream.destroy()

    expect(await linesOf('server_active_streams')).toEqual([`spillway_server_active_streams{${STREAM}} 1`])
  })

  it('counts events with _total, and bytes with _bytes_total', async () => {
    const { linesOf } = start()
    const { stream, transport } = fakeStream()
    for (let i = 0; i < 2; i++) {
      stream.send({ data: i })
      await nextTurn()
      expect(await linesOf('server_sent_events')).toEqual([
        `spillway_server_sent_events_total{${STREAM}} ${i + 1}`,
      ])
    }
    const bytes = Buffer.byteLength(transport.all.join(''))
    expect(await linesOf('server_sent_bytes')).toEqual([
      `spillway_server_sent_bytes_total{${STREAM}} ${bytes}`,
    ])
  })

  it('has durations in seconds, up to an hour', async () => {
    const { register, linesOf } = start()
    fakeStream().stream.destroy()

    const labels = `${STREAM},spillway_close_reason="server"`
    expect(await linesOf('server_stream_duration_seconds_count')).toEqual([
      `spillway_server_stream_duration_seconds_count{${labels}} 1`,
    ])
    expect(await register.metrics()).toContain(
      `spillway_server_stream_duration_seconds_bucket{le="3600",${labels}} 1`,
    )
  })

  it('counts dropped events by policy', async () => {
    const { linesOf } = start()
    const { stream, transport } = fakeStream({ overflow: 'drop-newest', maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()
    for (let i = 0; i < 3; i++) stream.send({ data: i })
    await nextTurn()

    expect(await linesOf('server_dropped_events')).toEqual([
      `spillway_server_dropped_events_total{${STREAM},spillway_overflow_policy="drop-newest"} 2`,
    ])
  })

  it('removes its metrics when it is stopped, so that it can be called again', async () => {
    const { register, stop } = start()
    fakeStream()
    stop()
    expect(await register.metrics()).toBe('\n')

    registerMetrics({ register })()
  })

  it('does not remove the metrics of a later registration when it is stopped', async () => {
    const { register, stop } = start()
    register.clear()
    const stopLater = registerMetrics({ register })
    onTestFinished(stopLater)
    fakeStream()

    stop()
    stop()

    expect(await register.metrics()).toContain(`spillway_server_active_streams{${STREAM}} 1`)
  })

  it('leaves no metric and no subscriber when the registry has one of its names', async () => {
    const register = new Registry()
    const name = 'spillway_store_state'
    new Gauge({ name, help: 'Another one.', registers: [register] })

    expect(() => registerMetrics({ register })).toThrow('already been registered')

    expect(register.getMetricsAsArray().map((metric) => metric.name)).toEqual([name])
    expect(channel('spillway:stream:open').hasSubscribers).toBe(false)
  })

  it('accepts a registry of OpenMetrics', async () => {
    const register = new Registry<OpenMetricsContentType>()
    register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
    onTestFinished(registerMetrics({ register }))
    const { stream } = fakeStream()
    stream.send({ data: 1 })
    await nextTurn()

    expect(await register.metrics()).toContain(`spillway_server_sent_events_total{${STREAM}} 1`)
  })

  it('throws for an unknown option, and for a registry that has the metrics', () => {
    const code = expect.objectContaining({ code: 'ERR_SSE_OPTION' })
    expect(() => registerMetrics({ nonsense: 1 } as object)).toThrow(code)
    expect(() => registerMetrics({ register: {} as never })).toThrow(code)
    const { register } = start()
    expect(() => registerMetrics({ register })).toThrow('already been registered')
  })
})
