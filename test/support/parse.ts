import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** Returns the events that a client reads from a body, without those that only contain its position. */
export function parseEvents(body: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  createParser({ onEvent: (event) => isPosition(event) || events.push(event) }).feed(body)
  return events
}

/** Whether an event only contains the position of its client. */
export function isPosition({ event, data }: EventSourceMessage): boolean {
  return event === 'position' && data === '{}'
}

/** Returns the data of the events that a client has read. */
export function dataOf({ body }: { readonly body: string }): string[] {
  return parseEvents(body).map(({ data }) => data)
}

/** Returns the names and the data of the events that a client has read, for example `text a`. */
export function eventsOf({ body }: { readonly body: string }): string[] {
  return parseEvents(body).map(({ event = 'message', data }) => `${event} ${data}`)
}
