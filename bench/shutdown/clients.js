// Raw clients of event streams that reconnect to another port, after the time that their server has sent.
import net from 'node:net'
import { respond } from '../lib/child.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const END = '\r\n0\r\n\r\n'
const figures = { cut: 0, failed: 0, due: [], reconnects: [] }
let nextPort

function connect(port, onOpen, onEnd) {
  let tail = ''
  let isOpen = false
  const socket = net.connect(port, '127.0.0.1', () => socket.write(REQUEST)).setEncoding('latin1')
  socket.on('data', (text) => {
    if (!isOpen && !text.startsWith('HTTP/1.1 200 ')) figures.failed += 1
    if (!isOpen) onOpen()
    isOpen = true
    tail = (tail + text).slice(-200)
    if (tail.endsWith(END))
      onEnd(
        Number(
          tail
            .match(/retry: \d+/g)
            ?.at(-1)
            ?.slice(7),
        ),
      )
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (!tail.endsWith(END)) figures.cut += 1
  })
}

function reconnectAfter(retry) {
  figures.due.push(performance.now() + retry)
  setTimeout(reconnect, retry)
}

function reconnect() {
  connect(
    nextPort,
    () => figures.reconnects.push(performance.now()),
    () => {},
  )
}

async function open({ port, next, count }) {
  nextPort = next
  for (let i = 0; i < count; i += 100) {
    const batch = Array.from(
      { length: 100 },
      () => new Promise((resolve) => connect(port, resolve, reconnectAfter)),
    )
    await Promise.all(batch)
  }
}

/**
 * Resolves when all clients have reconnected. `due` and `reconnects` are when they had to, and when they did, in ms.
 */
async function reconnected({ count }) {
  while (figures.reconnects.length < count) await new Promise((resolve) => setTimeout(resolve, 50))
  return figures
}

respond({ open, reconnected })
