import { connect } from 'spillway/client'
import { respond } from '../lib/child.js'
import { Http2Client } from './http2-client.js'

/** A session of the client. Counts the requests, and records the transports with the time since its beginning in ms. */
class Session {
  received = []
  transports = []
  requests = { stream: 0, poll: 0, padded: 0, silent: 0 }
  gaps = 0
  isComplete = false
  #startedAt = performance.now()
  #http2 = new Http2Client()

  constructor(url, lastEventId) {
    this.url = url
    const source = connect(url, { lastEventId, fetch: (target, init) => this.#fetch(target, init) })
    source.addEventListener('transport', ({ transport, reason }) =>
      this.transports.push({ transport, reason, after: performance.now() - this.#startedAt }),
    )
    source.addEventListener('message', ({ data }) => this.received.push(Number(data)))
    source.addEventListener('gap', () => this.gaps++)
    source.addEventListener('error', ({ error }) => {
      if (source.readyState === 2) this.error = String(error)
    })
    source.addEventListener('end', () => {
      this.isComplete = true
      source.close()
    })
    this.source = source
  }

  #fetch(target, init) {
    const { searchParams } = new URL(target)
    this.requests[searchParams.has('format') ? 'poll' : 'stream']++
    if (searchParams.has('padded')) this.requests.padded++
    if (searchParams.get('reason') === 'silent') this.requests.silent++
    return this.url.startsWith('https:') ? this.#http2.fetch(target, init) : fetch(target, init)
  }

  get polls() {
    return this.transports.some(({ transport }) => transport === 'json')
  }

  report() {
    const { url, received, transports, requests, gaps, error, isComplete, source } = this
    const isExact = isComplete && gaps === 0 && received.every((number, i) => number === i)
    return {
      url,
      events: received.length,
      transports,
      requests,
      gaps,
      error,
      isComplete,
      isExact,
      last: source.lastEventId,
    }
  }
}

let sessions = []

// Node.js loads `fetch` at the first request, which takes up to 500 ms on a busy machine.
await fetch('data:,')

respond({
  open({ urls, lastEventId }) {
    sessions = urls.map((url) => new Session(url, lastEventId))
  },
  /** Returns how many sessions there are, and how many of them are connected, poll, and are complete. */
  count: () => ({
    all: sessions.length,
    open: sessions.filter(({ source }) => source.readyState === 1).length,
    polling: sessions.filter(({ polls }) => polls).length,
    complete: sessions.filter(({ isComplete }) => isComplete).length,
  }),
  reports: () => sessions.map((session) => session.report()),
})
