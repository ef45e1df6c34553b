import { contender, serve } from './server.js'

// Numbers and times have a fixed length, because clients read them from the end of the data.
let newest = 1_000_000
const ids = new Map()

/** Returns an event of about 120 bytes of JSON. */
function nextEvent() {
  newest += 1
  const at = process.hrtime.bigint().toString().padStart(16, '0')
  return { symbol: 'SPLW', bid: 101.25, ask: 101.5, size: 1_200, venue: 'XNAS', halted: false, n: newest, at }
}

/** Serves the contender that the parent has selected. All its clients subscribe to one topic. */
export async function serveFanOut(contenders) {
  const { createServer, publish } = await contenders[contender]()
  await serve(
    {
      /** Publishes `perTurn` events at once, every `interval` ms. Returns the number of the newest event. */
      async publish(_streams, { count, perTurn = 1, interval }) {
        const published = []
        for (let i = 0; i < count; i += perTurn) {
          await new Promise((resolve) => setTimeout(resolve, interval))
          for (let j = 0; j < perTurn; j++) published.push([publish(nextEvent()), newest])
        }
        for (const [id, number] of published) ids.set(number, await id)
        return newest
      },

      /** Publishes as fast as possible with `window` pending publishes. Returns the number of the newest event. */
      async flood(_streams, { count, window }) {
        let remaining = count
        const publishInTurn = async () => {
          while (remaining-- > 0) await publish(nextEvent())
        }
        await Promise.all(Array.from({ length: window }, publishInTurn))
        return newest
      },

      /** Returns the id of the event that is `back` events before the newest one. */
      idOf: (_streams, { back }) => ids.get(newest - back),
    },
    createServer,
  )
}
