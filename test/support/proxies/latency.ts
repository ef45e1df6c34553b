import type { Client } from '../client.ts'

const EVENTS = 20
const LIMIT = 100

/** A stream of the library, or of another server. */
interface Sender {
  send(event: { data: string }): unknown
}

/**
 * Sends one event after another, each when the client has received the one before it. Repeats this until the median of
 * the times from `send` to the client is at most 100 ms, because a machine may be busy for a moment. A proxy that holds
 * events makes the test run into its timeout.
 */
export async function measureLatency(
  stream: Sender,
  client: Client,
): Promise<{ median: number; slowest: number }> {
  for (let round = 1; ; round++) {
    const latencies: number[] = []
    for (let event = 0; event < EVENTS; event++) {
      const data = `event ${event} of round ${round}`
      const sentAt = performance.now()
      stream.send({ data })
      await client.until(`data: ${data}\n\n`)
      latencies.push(performance.now() - sentAt)
    }
    latencies.sort((a, b) => a - b)
    const [median = 0, slowest = 0] = [latencies[EVENTS / 2], latencies.at(-1)]
    if (median <= LIMIT) return { median, slowest }
  }
}
