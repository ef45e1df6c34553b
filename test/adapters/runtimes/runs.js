import { Runs } from 'spillway'

/** @typedef {import('spillway').SseStream} Stream */

/** The runs of `server.js`, whose sources a test feeds with orders. */
export const runs = new Runs()

/** A source that yields what it is given, until its end or a stop. */
class Source {
  /** @type {Array<string | undefined>} */
  #texts = []
  #notify = () => {}
  isClosed = false

  /** @param {string | undefined} text undefined: the end */
  push(text) {
    this.#texts.push(text)
    this.#notify()
  }

  /** @param {AbortSignal} signal */
  async *read(signal) {
    signal.addEventListener('abort', () => this.#notify())
    try {
      while (!signal.aborted) {
        if (this.#texts.length === 0) await this.#wait()
        else {
          const data = this.#texts.shift()
          if (data === undefined) return
          yield { event: 'text', data }
        }
      }
    } finally {
      this.isClosed = true
    }
  }

  /** @returns {Promise<void>} */
  #wait() {
    return new Promise((resolve) => {
      this.#notify = resolve
    })
  }
}

/** @type {Map<string, Source>} */
const sources = new Map()

/** @param {string} id */
function start(id) {
  const source = new Source()
  sources.set(id, source)
  return runs.start(id, (signal) => source.read(signal))
}

const options = {
  formats: /** @type {const} */ (['event-stream', 'ndjson', 'json']),
  headers: { 'Access-Control-Allow-Origin': 'https://app.example.com' },
  longPoll: { pageSize: 2 },
}

/** @param {Request} request */
const idOf = (request) => new URL(request.url).searchParams.get('run') ?? ''

/** @type {Record<string, readonly [handler: (stream: Stream, request: Request) => unknown, options?: object]>} */
export const runCases = {
  run: [(stream, request) => runs.subscribe(stream, idOf(request)), options],
  'run-unawaited': [(stream, request) => void runs.subscribe(stream, idOf(request)), options],
  'start-run': [async (stream, request) => (await start(await request.text())).subscribe(stream), options],
}

// The key of an order is the id of a run.
/** @type {Record<string, (stream: Stream | undefined, text: string, id: string) => unknown>} */
export const runOrders = {
  'run-start': async (_stream, _text, id) => (await start(id)).isOwner,
  'run-yield': (_stream, text, id) => sources.get(id)?.push(text),
  'run-end': async (_stream, _text, id) => {
    sources.get(id)?.push(undefined)
    return (await runs.get(id))?.whenEnded()
  },
  'run-stop': async (_stream, _text, id) => [await runs.stop(id), sources.get(id)?.isClosed],
  'run-state': (_stream, _text, id) => ({ size: runs.size, isClosed: sources.get(id)?.isClosed }),
}
