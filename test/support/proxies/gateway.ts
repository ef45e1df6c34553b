import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import compression from 'compression'
import express from 'express'
import type { RunningProxy } from './setups.ts'

/**
 * Starts an Express server that forwards requests, and removes `no-transform` from the responses. Its compression holds
 * each response until its end.
 */
export async function startGateway(upstream: number): Promise<RunningProxy> {
  const app = express()
  app.use(compression({ threshold: 0 }))
  app.use((request, response) => {
    const { url: path, method, headers } = request
    const forwarded = http.request({ host: '127.0.0.1', port: upstream, path, method, headers, agent: false })
    forwarded.on('error', () => response.destroy())
    forwarded.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, { ...answer.headers, 'cache-control': 'no-cache' })
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    response.once('close', () => forwarded.destroy())
    request.pipe(forwarded)
  })
  const server = app.listen(0, '127.0.0.1')
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => void sockets.add(socket))
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async end() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
