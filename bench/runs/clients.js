// The client process. Each client checks the text of a run, and keeps when each of its events has arrived.
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from '../lib/child.js'
import { Http1Client } from '../lib/http1-client.js'
import { now, tokenOf } from './feeds.js'

const DATA = 'data: '
const clients = new Map()

class RunClient extends Http1Client {
  /** When each event of the last phase has arrived. */
  arrived = []
  /** The length of the text. */
  length = 0
  isWrong = false
  #tokens = 0
  #line = ''

  read(chunk) {
    const at = now()
    const lines = (this.#line + chunk.latin1Slice()).split('\n')
    this.#line = lines.pop()
    for (const line of lines) if (line.startsWith(DATA)) this.#onData(line.slice(DATA.length), at)
  }

  #onData(data, at) {
    this.length += data.length
    this.arrived.push(at)
    if (data !== tokenOf(this.#tokens)) this.isWrong = true
    this.#tokens += 1
  }
}

async function open({ port, ids }) {
  for (const id of ids) {
    const client = new RunClient({ port, path: `/${id}` })
    await client.opened()
    clients.set(id, client)
  }
}

/** Waits until each client has received `length` characters in all. */
async function receive({ length, timeout = 60_000 }) {
  const deadline = performance.now() + timeout
  const all = [...clients.values()]
  while (all.some((client) => client.length < length) && performance.now() < deadline) await sleep(2)
  const wrong = all.filter((client) => client.isWrong || client.length !== length).length
  if (wrong > 0) throw new Error(`${wrong} of ${all.length} clients have not the text of their run.`)
}

/** Returns when each event has arrived since the last call, by the id of the run. */
function takeArrivals() {
  const entries = [...clients].map(([id, client]) => [id, client.arrived])
  for (const client of clients.values()) client.arrived = []
  return Object.fromEntries(entries)
}

/**
 * Resolves when a new client has `length` characters of a run, with how long that took in ms, and in how many events.
 */
function catchUp({ port, id, length }) {
  const startedAt = now()
  return new Promise((resolve, reject) => {
    const request = get({ port, host: '127.0.0.1', path: `/${id}`, agent: false }, (response) => {
      let [rest, left, events] = ['', length, 0]
      response.setEncoding('latin1').on('data', (chunk) => {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()
        const data = lines.filter((line) => line.startsWith(DATA))
        events += data.length
        for (const line of data) left -= line.length - DATA.length
        if (left > 0) return
        resolve({ time: now() - startedAt, events })
        request.destroy()
      })
    })
    request.on('error', reject)
  })
}

function close() {
  for (const client of clients.values()) client.close()
  clients.clear()
}

respond({ open, receive, takeArrivals, catchUp, close })
