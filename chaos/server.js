import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'
import { brokers } from './brokers.js'

// A server process. It has no shutdown handler, because it is killed with SIGKILL.

const { BROKER, BROKER_PORT, PORT } = process.env
const hub = new Hub({ store: await brokers[BROKER].openStore(BROKER_PORT) })

createServer((request, response) => {
  const channels = new URL(request.url ?? '/', 'http://localhost').searchParams.getAll('channel')
  hub.subscribe(createSseStream(request, response, { retry: 0 }), channels)
}).listen(Number(PORT), '127.0.0.1', () => process.send?.('listening'))
