import { createServer as createHttpServer } from 'node:http'
import { createClient } from 'redis'
import { createResumableStreamContext } from 'resumable-stream/generic'
import { createSseStream, Runs } from 'spillway'
import { redisRuns } from 'spillway/redis'
import { openFeed } from './feeds.js'

// `start` starts a run in the process of its source. `serve` responds to a client of a run, in the same or another
// process.

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

const { REDIS_URL } = process.env

// Renewed rarely, so that contenders disturb each other less.
const LEASE = 60_000

function byRuns(options) {
  const store = redisRuns(createClient({ url: REDIS_URL }))
  const runs = new Runs({ store, lease: LEASE, ...options })
  return {
    start: (id) => runs.start(id, () => openFeed(id)),
    serve: (request, response, id) => runs.subscribe(createSseStream(request, response), id),
  }
}

async function byResumableStream() {
  const [publisher, subscriber] = [createClient({ url: REDIS_URL }), createClient({ url: REDIS_URL })]
  await Promise.all([publisher.connect(), subscriber.connect()])
  const context = createResumableStreamContext({ publisher, subscriber, waitUntil: () => {} })
  return {
    // The returned stream is not read, which takes the least CPU.
    start: (id) => context.createNewResumableStream(id, () => asText(openFeed(id))),
    async serve(_request, response, id) {
      begin(response)
      for await (const text of await context.resumeExistingStream(id)) response.write(text)
    },
  }
}

function asText(feed) {
  const tokens = feed[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { value } = await tokens.next()
      controller.enqueue(eventOf(value))
    },
  })
}

// In one process, without a log.
function byWrites() {
  return {
    async serve(_request, response, id) {
      begin(response)
      for await (const token of openFeed(id)) response.write(eventOf(token))
    },
  }
}

function bySendAll() {
  return { serve: (request, response, id) => createSseStream(request, response).sendAll(openFeed(id)) }
}

function byMemory() {
  const runs = new Runs()
  return {
    async serve(request, response, id) {
      const stream = createSseStream(request, response)
      await runs.start(id, () => openFeed(id))
      await runs.subscribe(stream, id)
    },
  }
}

function begin(response) {
  response.writeHead(200, HEADERS)
  response.write(':\n\n')
}

function eventOf(token) {
  return `data: ${token}\n\n`
}

const merge = (previous, next) => ({ ...next, data: previous.data + next.data })

export const contenders = {
  'res-write': byWrites,
  'resumable-stream': byResumableStream,
  'spillway, Redis': () => byRuns(),
  'spillway, Redis, 20 ms': () => byRuns({ flushInterval: 20 }),
  'spillway, Redis, 50 ms': () => byRuns({ flushInterval: 50 }),
  'spillway, Redis, merge': () => byRuns({ merge }),
  sendAll: bySendAll,
  'spillway, memory': byMemory,
}

/** Returns the `createServer` function of a contender. The path of a request is the id of its run. */
export function createServerOf({ serve }) {
  return (onStream) =>
    createHttpServer((request, response) => {
      response.on('close', onStream({}))
      serve(request, response, request.url.slice(1))
    })
}
