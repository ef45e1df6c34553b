import { EventSource as EventSourcePackage } from 'eventsource'
import { type EventSourceInit, EventSource as UndiciEventSource } from 'undici'
import { clientContract } from './contract.ts'
import { eventSourceClient } from './event-source.ts'
import { fetchEventSourceClient } from './fetch-event-source.ts'

clientContract(eventSourceClient('the eventsource package', (url) => new EventSourcePackage(url)))

// undici obeys `retry` only when an event follows on the same connection.
const soon = { node: { reconnectionTime: 1 } } as EventSourceInit
clientContract(eventSourceClient('undici', (url) => new UndiciEventSource(url, soon)))

clientContract(fetchEventSourceClient)
