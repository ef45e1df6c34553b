import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** Returns the events that a client reads from a body. */
export function parseEvents(body: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  createParser({ onEvent: (event) => events.push(event) }).feed(body)
  return events
}
