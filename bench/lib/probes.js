import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

// The interval at which probes are sent, and how long a probe waits for a response, in ms.
const TICK = 10
const PATIENCE = 5_000

/**
 * Sends `perSecond` requests a second, each with the next one of `ids` and a connection of its own. The connection is
 * closed at the first bytes of the response. Returns the number of requests with each outcome, for example the status
 * `200` or `no response`.
 */
export async function probeAll({ port, channel, ids, perSecond }) {
  const counts = {}
  const pending = []
  const startedAt = performance.now()
  for (let sent = 0; sent < ids.length; ) {
    const due = Math.min(ids.length, ((performance.now() - startedAt) / 1000) * perSecond)
    for (; sent < due; sent++) {
      const probe = probeOnce(port, channel, ids[sent]).then((outcome) => {
        counts[outcome] = (counts[outcome] ?? 0) + 1
      })
      pending.push(probe)
    }
    await sleep(TICK)
  }
  await Promise.all(pending)
  return counts
}

function probeOnce(port, channel, id) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (outcome) => {
      resolve(outcome)
      socket.destroy()
    }
    socket.setTimeout(PATIENCE, () => end('no response'))
    socket.once('error', ({ code }) => end(code))
    socket.once('close', () => resolve('closed'))
    socket.once('data', (bytes) => end(bytes.toString('latin1', 9, 12)))
    socket.write(
      `GET /?channel=${channel} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: ${id}\r\n\r\n`,
    )
  })
}
