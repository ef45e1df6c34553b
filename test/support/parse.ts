import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** The events that a client reads out of a body. */
export function parseEvents(body: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  createParser({ onEvent: (event) => events.push(event) }).feed(body)
  return events
}
