import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { serve } from '../../support/serve.ts'
import { spillway, startSpillway } from '../../support/spillway-command.ts'

/** Starts a server whose streams end, so that an examination is short. */
const serveEvents = (status = 200) =>
  serve((_request, response) => {
    const headers = { 'content-type': 'text/event-stream', 'x-title': '\x9b2J', server: 'nginx' }
    response.writeHead(status, headers).end(`id: 1\ndata: \x1b[2J\n\n`)
  })

describe('npx spillway doctor', () => {
  test.each([
    [[], 'No URL was given. Usage: npx spillway doctor <url>'],
    [['localhost:1/'], '"localhost:1/" has no protocol. Write http://localhost:1/'],
    [['http://localhost:1/', '--jsno'], 'Unknown flag --jsno. Did you mean --json?'],
    [['http://localhost:1/', '--timeout', 'x'], '--timeout "x" is not a time such as 18s or 500ms.'],
    [['--explain', 'statu'], '--explain statu is not a code of a finding. Did you mean status?'],
  ])('rejects %j in one line', async (args, message) => {
    const expected = { status: 2, output: '', errors: `spillway: ${message}\n` }
    expect(await spillway('doctor', ...args)).toEqual(expected)
  })

  test('reports a refused connection, an unknown host and TLS in one line', async () => {
    const { server, port } = await serve(() => {})
    await new Promise((resolve) => server.close(resolve))
    const tls = await serve(() => {}, 'https')
    const [refused, unknown, selfSigned] = await Promise.all(
      [`http://127.0.0.1:${port}/`, 'http://spillway.invalid/', `https://127.0.0.1:${tls.port}/`].map((url) =>
        spillway('doctor', url),
      ),
    )
    expect(refused).toEqual({
      status: 2,
      output: '',
      errors: `spillway: 127.0.0.1:${port} refused the connection. No server listens on this port.\n`,
    })
    expect(unknown).toMatchObject({ status: 2, output: '' })
    expect(unknown?.errors).toMatch(/^spillway: The host spillway\.invalid .*\n$/)
    expect(selfSigned).toEqual({
      status: 2,
      output: '',
      errors: `spillway: The certificate of 127.0.0.1:${tls.port} is self-signed. Use --insecure to accept it.\n`,
    })
  })

  test('prints a report, with a status for its findings', async () => {
    const { url } = await serveEvents(500)
    const [text, json, ignored] = await Promise.all([
      spillway('doctor', url),
      spillway('doctor', url, '--json'),
      spillway('doctor', url, '--fail-on=never'),
    ])
    expect([text?.status, json?.status, ignored?.status]).toEqual([1, 1, 0])
    expect(text?.output).toMatch(/^problem: status\n {2}The status is 500/m)
    expect(text?.output).toContain(', through nginx\n')
    expect(JSON.parse(json?.output ?? '')).toMatchObject({ url: `${url}/`, status: 500, proxies: ['nginx'] })
    // Nothing that a server sends is executed by a terminal.
    for (const each of [text, json, ignored])
      expect(`${each?.output}${each?.errors}`.match(/[^\x20-\x7e\n]/)).toBe(null)
  })

  test('prints a comparison', async () => {
    const [proxied, direct] = [await serveEvents(500), await serveEvents()]
    const { status, output } = await spillway('doctor', proxied.url, '--compare', direct.url)
    expect(status).toBe(1)
    expect(output).toMatch(/^ {2}status only behind the proxy: The status is 500/m)
  })

  test('prints the findings so far when it is interrupted', async () => {
    const { server, url } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
    })
    const { child, result } = startSpillway(['doctor', url])
    await once(server, 'request')
    child.kill('SIGINT')
    const { status, output, errors } = await result
    expect({ status, errors }).toEqual({ status: 130, errors: '' })
    expect(output).toContain(`${url}/\n`)
  })
})
