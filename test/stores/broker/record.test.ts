import { describe, expect, it } from 'vitest'
import { encodeRecord, parseRecord, toLogEntry } from '../../../src/stores/broker/record.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe('a record', () => {
  it('keeps the trace context of a publication', () => {
    const trace = { traceparent: TRACEPARENT, tracestate: 'vendor=1' }
    const record = encodeRecord({ channel: 'a', data: '1', trace })

    expect(parseRecord(record)).toEqual({ data: '1', trace })
    expect(toLogEntry({ id: '1', channel: 'a', record }).trace).toEqual(trace)
  })

  it('of an earlier version, without a trace, is read as before', () => {
    const entry = toLogEntry({ id: '1', channel: 'a', record: '{"event":"tick","data":"1","isText":true}' })

    expect([entry.trace, entry.event]).toEqual([undefined, { event: 'tick', id: '1', data: '1' }])
  })

  it('has the same text as before without a trace', () => {
    expect(encodeRecord({ channel: 'a', data: '1', isText: true })).toBe('{"data":"1","isText":true}')
  })

  it.each([
    'text',
    null,
    7,
    [],
    { traceparent: 7 },
    { traceparent: `${TRACEPARENT}\n` },
    { traceparent: TRACEPARENT.toUpperCase() },
    { traceparent: 'x'.repeat(100_000) },
  ])('is an event without a trace if another program wrote the trace %j', (trace) => {
    const entry = toLogEntry({ id: '1', channel: 'a', record: JSON.stringify({ data: '1', trace }) })

    expect([entry.trace, entry.event.data]).toEqual([undefined, 1])
  })

  it.each([7, '', 'a\nb', 'x'.repeat(513)])('has a trace without the state %j', (tracestate) => {
    const trace = { traceparent: TRACEPARENT, tracestate, baggage: 'secret=1' }
    const entry = toLogEntry({ id: '1', channel: 'a', record: JSON.stringify({ data: '1', trace }) })

    expect(entry.trace).toEqual({ traceparent: TRACEPARENT })
  })
})
