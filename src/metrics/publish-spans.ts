import {
  createTraceState,
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api'
import type { FanOutMessage, PublishEndMessage, PublishStartMessage } from '../hub/diagnostics.ts'
import type { TraceContext } from '../stores/log-entry.ts'
import { typeOf } from './recorder.ts'

const SYSTEM = { 'messaging.system': 'spillway' }

/**
 * Creates a span for each publish, and one for each fan-out of traced events, which links to those of their publishes.
 */
export class PublishSpans {
  readonly #tracer: Tracer
  readonly #spans = new Map<PublishStartMessage, Span>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  start(message: PublishStartMessage): void {
    const attributes = {
      ...SYSTEM,
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'publish',
    }
    const span = this.#tracer.startSpan('spillway publish', { kind: SpanKind.PRODUCER, attributes })
    this.#spans.set(message, span)
    message.trace = traceOf(span.spanContext())
  }

  end(message: PublishEndMessage): void {
    const span = this.#spans.get(message)
    const { id, error } = message
    if (id !== undefined) span?.setAttribute('messaging.message.id', id)
    if (error !== undefined) span?.setAttributes(typeOf(error)).setStatus({ code: SpanStatusCode.ERROR })
    span?.end()
    this.#spans.delete(message)
  }

  /** Ends the spans of pending publishes, whose end is not reported any more. */
  stop(): void {
    for (const span of this.#spans.values()) span.end()
    this.#spans.clear()
  }

  fanOut({ entries, subscribers, duration }: FanOutMessage): void {
    const links = entries.flatMap(({ trace }) => linkTo(trace) ?? [])
    if (links.length === 0) return
    const attributes = {
      ...{ ...SYSTEM, 'messaging.operation.type': 'process', 'messaging.operation.name': 'deliver' },
      ...{ 'messaging.batch.message_count': entries.length, 'spillway.subscribers': subscribers },
    }
    const startTime = Date.now() - duration
    const options = { kind: SpanKind.CONSUMER, root: true, links, attributes, startTime }
    this.#tracer.startSpan('spillway deliver', options).end()
  }
}

/**
 * Returns the context to store with an event. Undefined for a span that is not recorded, because nothing links to it.
 */
function traceOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext | undefined {
  if ((traceFlags & TraceFlags.SAMPLED) === 0) return undefined
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
  const tracestate = traceState?.serialize()
  return tracestate ? { traceparent, tracestate } : { traceparent }
}

/** Returns a link to a publish, or undefined if its trace context is not valid, because it is untrusted. */
function linkTo(trace: TraceContext | undefined): Link | undefined {
  if (typeof trace?.traceparent !== 'string') return undefined
  const [, traceId = '', spanId = '', flags = ''] = trace.traceparent.split('-')
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  if (!isSpanContextValid(context)) return undefined
  return {
    context: trace.tracestate ? { ...context, traceState: createTraceState(trace.tracestate) } : context,
  }
}
