import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import compression from 'compression'
import express from 'express'

async function listen(server) {
  const sockets = new Set()
  server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  return {
    port: server.address().port,
    end() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/**
 * Starts a network to a server that delays each chunk by `from` to `to` ms in both directions, and passes so many bytes
 * per second on each connection. Nothing is lost, and the order stays. `stall` holds what arrives within a time in ms.
 */
export async function startSlowNetwork(target, { from, to, bytesPerSecond }) {
  let stalledUntil = 0
  const delayed = (source, sink) => {
    const chunks = []
    let freeAt = 0
    source.on('data', (chunk) => {
      const arrival = Math.max(stalledUntil, performance.now()) + from + Math.random() * (to - from)
      freeAt = Math.max(arrival, freeAt) + (1000 * chunk.length) / bytesPerSecond
      chunks.push(chunk)
      // Timers of different durations may run in another order than that of the chunks.
      setTimeout(() => sink.write(chunks.shift()), freeAt - performance.now())
    })
    source.on('error', () => {})
    source.on('end', () => setTimeout(() => sink.end(), Math.max(to, freeAt - performance.now() + 1)))
    source.on('close', () => setTimeout(() => sink.destroy(), Math.max(to, freeAt - performance.now()) + 100))
  }
  const server = createTcpServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    delayed(near, far)
    delayed(far, near)
  })
  const stall = (ms) => {
    stalledUntil = performance.now() + ms
  }
  return { ...(await listen(server)), stall }
}

/**
 * Starts a reverse proxy. `hold` passes the response of a stream on to the client in its own way, and other responses
 * pass at once.
 */
function startProxy(target, hold) {
  return listen(createServer((incoming, outgoing) => forward(target, incoming, outgoing, hold)))
}

function forward(target, incoming, outgoing, hold) {
  const { url: path, method, headers } = incoming
  const forwarded = request({ host: '127.0.0.1', port: target, path, method, headers, agent: false })
  forwarded.on('error', () => outgoing.destroy())
  forwarded.on('response', (response) => {
    response.on('error', () => outgoing.destroy())
    if (response.headers['content-type']?.startsWith('text/event-stream')) hold(response, outgoing)
    else response.pipe(outgoing.writeHead(response.statusCode, response.headers))
  })
  outgoing.on('close', () => forwarded.destroy())
  forwarded.end()
}

/** Passes what `release` is called for. */
const held = (response, outgoing) => {
  let chunks = []
  response.on('data', (chunk) => chunks.push(chunk))
  const release = () => {
    if (chunks.length > 0) outgoing.write(Buffer.concat(chunks))
    chunks = []
  }
  response.on('end', () => {
    release()
    outgoing.end()
  })
  return release
}

const head = (response, outgoing) => {
  outgoing.writeHead(response.statusCode, response.headers)
  outgoing.flushHeaders()
}

/** Proxies that mute a stream, each in its own way. */
export const MUTING = {
  'holds the headers until the end': (target) => startProxy(target, held),
  'holds the body until the end': (target) =>
    startProxy(target, (response, outgoing) => {
      head(response, outgoing)
      held(response, outgoing)
    }),
  'holds all after the first bytes': (target) =>
    startProxy(target, (response, outgoing) => {
      head(response, outgoing)
      response.once('data', held(response, outgoing))
    }),
  'passes blocks of 16 kB': (target) =>
    startProxy(target, (response, outgoing) => {
      const release = held(response, outgoing)
      let size = 0
      response.on('data', (chunk) => {
        size += chunk.length
        if (size >= 16_384) release()
        size %= 16_384
      })
    }),
  'releases data every 2 s': (target) =>
    startProxy(target, (response, outgoing) => {
      head(response, outgoing)
      const release = held(response, outgoing)
      response.once('data', release)
      const timer = setInterval(release, 2000)
      response.on('close', () => clearInterval(timer))
    }),
  'cuts after 1 s': (target) =>
    startProxy(target, (response, outgoing) => {
      head(response, outgoing)
      response.pipe(outgoing)
      setTimeout(() => outgoing.destroy(), 1000)
    }),
}

/**
 * Starts an Express gateway that removes `no-transform` and compresses. Its compression holds a response until its end.
 */
export function startGateway(target) {
  const compress = compression({ threshold: 0 })
  const app = express().use(compress, (incoming, outgoing) =>
    forward(target, incoming, outgoing, passTransformed),
  )
  return listen(createServer(app))
}

function passTransformed(response, outgoing) {
  const headers = { ...response.headers, 'cache-control': 'no-cache' }
  response.pipe(outgoing.writeHead(response.statusCode, headers))
}
