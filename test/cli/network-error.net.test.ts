import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https, { type RequestOptions } from 'node:https'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { describeNetworkError } from '../../src/cli/network-error.ts'
import { serve } from '../support/serve.ts'

/** Sends a request that fails. Returns the description of its error. */
async function failureOf(href: string, options: RequestOptions = {}): Promise<string> {
  const url = new URL(href)
  const request = (url.protocol === 'https:' ? https : http).get(url, { agent: false, ...options })
  const [error] = await once(request, 'error')
  return describeNetworkError(error, url)
}

/** Starts a server that gets sockets. Returns its host and port. */
async function listenRaw(accept: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => accept(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('names a host that refuses the connection, also of fetch and of HTTP/2', async () => {
  const { server, port } = await serve(() => {})
  await new Promise((resolve) => server.close(resolve))
  const expected = `127.0.0.1:${port} refused the connection. No server listens on this port.`
  const url = new URL(`http://127.0.0.1:${port}/`)
  const session = http2.connect(url)
  const stream = session.on('error', () => {}).request()
  const [ofStream] = await once(stream, 'error')
  const ofFetch = await fetch(url).catch((error: unknown) => error)
  expect(await failureOf(url.href)).toBe(expected)
  expect(describeNetworkError(ofFetch, url)).toBe(expected)
  expect(describeNetworkError(ofStream, url)).toBe(expected)
})

test('names a host that is unknown', async () => {
  expect(await failureOf('http://spillway.invalid/')).toMatch(
    /^The host spillway\.invalid (is unknown|could not)/,
  )
})

test('suggests the other protocol for TLS to a server without it, and for text to a server with it', async () => {
  const plain = await serve(() => {})
  const tls = await serve(() => {}, 'https')
  expect(await failureOf(`https://127.0.0.1:${plain.port}/`)).toBe(
    `127.0.0.1:${plain.port} does not use TLS. Try http:// instead of https://.`,
  )
  expect(await failureOf(`http://127.0.0.1:${tls.port}/`)).toBe(
    `127.0.0.1:${tls.port} closed the connection before it responded. If the server uses TLS, the URL begins with https://.`,
  )
})

test('suggests --insecure for a certificate that is not valid', async () => {
  const { port } = await serve(() => {}, 'https')
  expect(await failureOf(`https://127.0.0.1:${port}/`)).toBe(
    `The certificate of 127.0.0.1:${port} is self-signed. Use --insecure to accept it.`,
  )
})

test('has the reason of a TLS handshake that failed', async () => {
  const { port } = await serve(() => {}, 'https')
  const options: RequestOptions = { ciphers: 'ECDHE-RSA-AES128-SHA', maxVersion: 'TLSv1.2' }
  expect(await failureOf(`https://127.0.0.1:${port}/`, options)).toMatch(
    new RegExp(`^The TLS handshake with 127\\.0\\.0\\.1:${port} failed: [\\w/ ]*handshake failure\\.$`),
  )
})

test('names a server that does not respond in HTTP', async () => {
  const host = await listenRaw((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
  expect(await failureOf(`http://${host}/`)).toBe(
    `${host} does not respond in HTTP. If the server uses TLS, the URL begins with https://.`,
  )
})

test('names a server that resets the connection', async () => {
  const host = await listenRaw((socket) => socket.resetAndDestroy())
  expect(await failureOf(`https://${host}/`)).toBe(`${host} closed the connection before it responded.`)
})
