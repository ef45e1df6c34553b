import type { ClientUnderTest, Received } from './contract.ts'

/** The members that all implementations of `EventSource` share. Each has its own types of listeners. */
interface EventSourceLike {
  readonly readyState: number
  addEventListener(name: string, listener: (event: Received) => void): void
  close(): void
}

const CLOSED = 2

/** A client in this process with the interface of `EventSource`. */
export function eventSourceClient(name: string, open: (url: string) => unknown): ClientUnderTest {
  return {
    name,
    async connect(url, names, { onEvent, onGivenUp }) {
      const source = open(url) as EventSourceLike
      for (const each of names) {
        source.addEventListener(each, ({ type, data, lastEventId }) => onEvent({ type, data, lastEventId }))
      }
      source.addEventListener('error', () => source.readyState === CLOSED && onGivenUp())
      return () => source.close()
    },
  }
}
