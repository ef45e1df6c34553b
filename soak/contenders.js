import { createServer } from 'node:http'
import { createSseStream, Hub } from 'spillway'

// The servers of a soak. Each returns its listener, and the function that sends an event to all streams, or to those of
// slow clients only. An event has the number `n`, by which the clients find losses and repetitions.

/** One hub with the default options. */
function spillway() {
  const hub = new Hub()
  const [ticks, large] = [hub.channel('ticks'), hub.channel('large')]
  return {
    listener: (request, response) => {
      const stream = createSseStream(request, response)
      hub.subscribe(stream, isSlow(request) ? ['ticks', 'large'] : ['ticks'])
    },
    publish: (data, isLarge) => (isLarge ? large : ticks).publish({ data }),
  }
}

/** A minimal server: `response.write` for each response of a set, without ids, heartbeats or limits. */
function bare() {
  const responses = new Set()
  const slow = new Set()
  return {
    listener: (request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
      response.write(':\n\n')
      for (const set of isSlow(request) ? [responses, slow] : [responses]) {
        set.add(response)
        response.once('close', () => set.delete(response))
      }
    },
    publish: (data, isLarge) => {
      const text = `data: ${JSON.stringify(data)}\n\n`
      for (const response of isLarge ? slow : responses) response.write(text)
    },
  }
}

function isSlow({ url }) {
  return url === '/slow'
}

export const contenders = { spillway, bare }

/** Starts a contender on a free port of the loopback. Resolves with its port and its `publish`. */
export async function serve(name) {
  const { listener, publish } = contenders[name]()
  const server = createServer(listener)
  await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 }, resolve))
  return { port: server.address().port, publish }
}
