import { EventSource as EventSource4 } from 'eventsource'
// @ts-expect-error: version 2 has no types.
import EventSource2 from 'eventsource-2'
import { EventSource as EventSource3 } from 'eventsource-3'
import { EventSource as EventSource5 } from 'eventsource-5'
import { type EventSourceInit, EventSource as UndiciEventSource } from 'undici'
import type { ClientUnderTest } from './contract.ts'
import { eventSourceClient } from './event-source.ts'
import { fetchEventSourceClient } from './fetch-event-source.ts'

// undici obeys `retry` only when an event follows on the same connection.
const soon = { node: { reconnectionTime: 1 } } as EventSourceInit

export const undiciClient = eventSourceClient('undici', (url) => new UndiciEventSource(url, soon))
export const eventSource4Client = eventSourceClient('eventsource 4', (url) => new EventSource4(url))

/** The clients that run in Node and reconnect by themselves. */
export const CLIENTS: readonly ClientUnderTest[] = [
  undiciClient,
  eventSourceClient('eventsource 2', (url) => new EventSource2(url)),
  eventSourceClient('eventsource 3', (url) => new EventSource3(url)),
  eventSource4Client,
  eventSourceClient('eventsource 5', (url) => new EventSource5(url)),
  fetchEventSourceClient,
]
