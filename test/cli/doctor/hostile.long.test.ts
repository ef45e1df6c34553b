import zlib, { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { examine } from '../../../src/cli/doctor/examine.ts'
import { gather } from '../../../src/cli/doctor/gather.ts'
import { type Handler, serve } from '../../support/serve.ts'

const HEADERS = { 'Content-Type': 'text/event-stream' }
const TIMEOUT = 3_000
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024))

/** Writes a text to a response again and again. */
function flood(response: Parameters<Handler>[1], text: string | Buffer): void {
  const write = () => {
    if (response.destroyed || response.writableEnded) return
    if (response.write(text)) setImmediate(write)
  }
  response.on('drain', write)
  write()
}

const HOSTILE: Readonly<Record<string, Handler>> = {
  'sends events without end': (_request, response) =>
    flood(response.writeHead(200, HEADERS), 'data: a\n\n'.repeat(1_000)),
  'sends one line without end': (_request, response) =>
    flood(response.writeHead(200, HEADERS), 'a'.repeat(65_536)),
  'sends comments without end': (_request, response) =>
    flood(response.writeHead(200, HEADERS), ':\n'.repeat(1_000)),
  'sends a gzip bomb': (_request, response) =>
    flood(response.writeHead(200, { ...HEADERS, 'Content-Encoding': 'gzip' }), BOMB),
  'sends single bytes slowly': (_request, response) => {
    const timer = setInterval(() => response.write('d'), 20)
    response.writeHead(200, HEADERS).on('close', () => clearInterval(timer))
  },
  'redirects to itself': (_request, response) => response.writeHead(302, { Location: '/' }).end(),
  'never responds': () => {},
  'sends informational responses without end': (_request, response) => {
    const timer = setInterval(() => response.writeEarlyHints({ link: '</a>; rel=preload' }), 5)
    response.on('close', () => clearInterval(timer))
  },
}

describe.each(Object.entries(HOSTILE))('a server that %s', (_name, handler) => {
  test('is examined in its time, and with bounded memory', async () => {
    const { url, sockets } = await serve(handler)
    const { exchanges } = await gather(url, { timeout: TIMEOUT })
    for (const exchange of Object.values(exchanges)) {
      const bytes = exchange.arrivals.reduce((total, each) => total + each.bytes.length, 0)
      expect(bytes).toBeLessThan(9 * 1024 * 1024)
      expect(exchange.events.length + exchange.comments.length).toBeLessThan(20_000)
      expect(exchange.endedAt).toBeLessThan(3 * TIMEOUT)
    }
    await expect.poll(() => sockets.size).toBe(0)
  })
})

test('finds compression that holds events, and that it does not hold them without', async () => {
  let number = 0
  const { url } = await serve(({ method, headers }, response) => {
    const isCompressed = /gzip/.test(String(headers['accept-encoding'] ?? ''))
    response.writeHead(200, { ...HEADERS, ...(isCompressed ? { 'Content-Encoding': 'gzip' } : {}) })
    if (method === 'HEAD') return void response.end()
    response.flushHeaders()
    const out = isCompressed ? zlib.createGzip() : response
    if (out !== response) (out as zlib.Gzip).pipe(response)
    const timer = setInterval(() => out.write(`id: ${++number}\ndata: ${number}\n\n`), 300)
    response.on('close', () => clearInterval(timer))
  })
  const { findings } = await examine(url, { timeout: 6_000 })
  expect(findings.filter(({ level }) => level === 'problem').map(({ code }) => code)).toEqual([
    'compressed-held',
  ])
})

test('finds events that are collected on the way, from the times in them', async () => {
  const { url } = await serve(({ method }, response) => {
    response.writeHead(200, HEADERS)
    if (method === 'HEAD') return void response.end()
    response.write(':\n\n')
    const held: string[] = []
    const timer = setInterval(() => {
      held.push(`data: {"at":${Date.now()}}\n\n`)
      if (held.length === 5) response.write(held.splice(0).join(''))
    }, 600)
    response.on('close', () => clearInterval(timer))
  })
  // The times in a burst are much further apart than a busy machine delays the examination.
  const { findings } = await examine(url, { timeout: 14_000 })
  expect(findings.filter(({ level }) => level === 'problem').map(({ code }) => code)).toEqual(['buffered'])
})
