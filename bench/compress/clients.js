// The client process. It counts the bytes of each body, and the events in it after decompression.
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import * as zlib from 'node:zlib'
import { respond } from '../lib/child.js'

const DECODERS = { gzip: zlib.createGunzip, br: zlib.createBrotliDecompress, zstd: zlib.createZstdDecompress }
const MARK = '"n":'

let clients = []

class Client {
  bytes = 0
  events = 0
  #tail = ''
  #request

  open(port, encoding) {
    return new Promise((resolve, reject) => {
      const headers = encoding ? { 'Accept-Encoding': encoding } : {}
      this.#request = get({ port, host: '127.0.0.1', headers, agent: false }, (response) => {
        const used = response.headers['content-encoding']
        if (used !== encoding) reject(new Error(`The encoding is ${used}, not ${encoding}.`))
        response.on('data', (chunk) => {
          this.bytes += chunk.length
        })
        const body = encoding ? response.pipe(DECODERS[encoding]()) : response
        body
          .on('error', () => {})
          .on('data', (chunk) => {
            this.#count(chunk.toString('latin1'))
            resolve()
          })
      })
      this.#request.on('error', reject)
    })
  }

  close() {
    this.#request.destroy()
  }

  #count(text) {
    const all = this.#tail + text
    this.events += all.split(MARK).length - 1
    this.#tail = all.slice(1 - MARK.length)
  }
}

respond({
  async open({ port, count, encoding }) {
    for (let i = 0; i < count; i += 50) {
      const batch = Array.from({ length: Math.min(50, count - i) }, () => new Client())
      await Promise.all(batch.map((client) => client.open(port, encoding)))
      clients.push(...batch)
    }
  },

  /** Resolves with the bytes of all bodies when each client has received `events` events. */
  async receive({ events }) {
    for (let i = 0; i < 3_000 && clients.some((client) => client.events < events); i++) await sleep(5)
    const uneven = clients.filter((client) => client.events !== events).length
    if (uneven > 0) throw new Error(`${uneven} clients did not receive ${events} events.`)
    const bytes = clients.reduce((sum, client) => sum + client.bytes, 0)
    for (const client of clients) client.events = client.bytes = 0
    return bytes
  },

  close() {
    for (const client of clients) client.close()
    clients = []
  },
})
