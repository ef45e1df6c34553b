import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { requireProgram } from '../support/program.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

const path = requireProgram({ commands: ['curl'], install: 'apt-get install curl' })

// The exit codes of curl for a body that was cut, by the end of a connection and by a reset of a stream.
const PARTIAL_FILE = 18
const HTTP2_STREAM = 92

const protocols: Array<[name: string, protocol: Protocol, args: string[], cut: number]> = [
  ['HTTP/1.1', 'http', [], PARTIAL_FILE],
  ['HTTP/1.1 over TLS', 'https', ['--insecure'], PARTIAL_FILE],
  ['HTTP/2', 'h2c', ['--http2-prior-knowledge'], HTTP2_STREAM],
]

describe.skipIf(!path).each(protocols)('curl over %s', (_name, protocol, args, cut) => {
  it('prints each event when it is sent, and exits with code 0 when the stream is closed', async () => {
    const { curl, stream } = await open()
    stream.send({ event: 'tick', id: 1, data: { text: 'é🦆' } })
    await curl.shows('data: {"text":"é🦆"}\n\n')
    stream.send({ data: 'two\nlines' })
    await curl.shows('data: two\ndata: lines\n\n')
    stream.comment('over')
    stream.close()
    expect(await curl.exit).toBe(0)
    expect(curl.output()).toMatch(
      /^:\nretry: \d+\n: heartbeat \d+\nid: 1\nevent: tick\ndata: {"text":"é🦆"}\n\ndata: two\ndata: lines\n\n: over\n$/,
    )
  })

  it('exits with an error when the stream is destroyed', async () => {
    const { curl, stream } = await open()
    stream.send({ data: 'last' })
    await curl.shows('last\n\n')
    stream.destroy()
    expect(await curl.exit).toBe(cut)
  })

  it('resumes from a `Last-Event-ID` header', async () => {
    const { stream, curl } = await open('--header', 'Last-Event-ID: três')
    expect(stream.lastEventId).toBe('três')
    curl.kill()
    expect(await closed(stream)).toMatchObject({ reason: 'client' })
  })

  it('gets the status 406 when it refuses event streams', async () => {
    const { curl } = await run('--header', 'Accept: text/event-stream;q=0', '--write-out', '%{http_code}')
    expect(await curl.exit).toBe(0)
    expect(curl.output()).toMatch(/accept text\/event-stream\.\n406$/)
  })

  async function run(...more: string[]) {
    const opened = deferred<SseStream>()
    const { port } = await serve((request: IncomingMessage, response: ServerResponse) => {
      opened.resolve(createSseStream(request, response))
    }, protocol)
    const scheme = protocol === 'https' ? 'https' : 'http'
    const url = `${scheme}://127.0.0.1:${port}/`
    return { curl: startCurl(['--silent', '--no-buffer', ...args, ...more, url]), opened: opened.promise }
  }

  async function open(...more: string[]) {
    const { curl, opened } = await run(...more)
    return { curl, stream: await opened }
  }
})

function startCurl(args: string[]) {
  const child = spawn(String(path), args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill())
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const shows = async (text: string) => {
    while (!output.includes(text)) await once(child.stdout, 'data')
  }
  const exit = once(child, 'close').then(([code]) => code as number | null)
  return { output: () => output, shows, exit, kill: () => child.kill() }
}
