import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'
import { openLog } from './broker.js'

// One of the server processes: it follows the log, and dies without a word when it is killed.

const hub = new Hub({ log: await openLog() })

createServer((request, response) => {
  const channels = new URL(request.url ?? '/', 'http://localhost').searchParams.getAll('channel')
  hub.subscribe(createSseStream(request, response, { retry: 0 }), channels)
}).listen(Number(process.env.PORT), '127.0.0.1', () => process.send?.('listening'))
