import { once } from 'node:events'
import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'
import { respond } from '../lib/child.js'

const news = new Hub().channel('news', { cache: 'public' })
const options = { formats: ['event-stream', 'json'], longPoll: { pageSize: Number(process.argv[2]) } }
const requests = new Map()
const sockets = new Set()
let closedBytes = 0

const server = createServer((request, response) => {
  const cursor = new URL(request.url, 'http://localhost').searchParams.get('lastEventId')
  requests.set(cursor, (requests.get(cursor) ?? 0) + 1)
  news.subscribe(createSseStream(request, response, options))
})
server.on('connection', (socket) => {
  sockets.add(socket)
  socket.once('close', () => {
    sockets.delete(socket)
    closedBytes += socket.bytesWritten
  })
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(server, 'listening')

let mark = process.cpuUsage()

const bytesWritten = () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, closedBytes)

respond({
  port: () => server.address().port,
  /** Publishes events of a size. Returns the id before the first of them, and the last id. */
  async publish({ count, size }) {
    const data = 'x'.repeat(size)
    const cursor = await news.publish({ data })
    let last = cursor
    for (let event = 0; event < count; event++) last = await news.publish({ data })
    return { cursor, last }
  },
  startMeasuring() {
    requests.clear()
    mark = process.cpuUsage()
  },
  measured() {
    const { user, system } = process.cpuUsage(mark)
    return { cpu: user + system, sent: bytesWritten(), pages: [...requests.values()] }
  },
})
