import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'
import { brokers } from './brokers.js'

// A server process. It has no shutdown handler, because it is killed with SIGKILL. `BREAK` disables a part of the hub,
// to prove that the run then fails.

const { BREAK, BROKER, BROKER_PORT, MAX_BUFFERED, PORT, WINDOW } = process.env
const maxEvents = Number(WINDOW)
// Most replays read from the broker, because few events are in memory.
const recentEvents = Math.ceil(maxEvents / 20)
const maxBufferedBytes = Number(MAX_BUFFERED)
const store = await brokers[BROKER].openStore(BROKER_PORT, { maxEvents, recentEvents })
// No position is ever renewed.
if (BREAK === 'refresh') store.staleness = () => 0
const hub = new Hub({ store, positions: BREAK === 'positions' ? false : 'event' })

createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const every = Number(searchParams.get('every'))
  const filter = every > 1 ? ({ data }) => data.n % every === 0 : undefined
  const headers = { 'X-State': hub.state }
  const stream = createSseStream(request, response, { retry: 0, heartbeat: 1_000, maxBufferedBytes, headers })
  hub.subscribe(stream, searchParams.getAll('channel'), { filter })
}).listen(Number(PORT), '127.0.0.1', () => process.send?.('listening'))
