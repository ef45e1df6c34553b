import { once } from 'node:events'
import http from 'node:http'
import { expect, test } from 'vitest'
import { compare } from '../../../src/cli/doctor/compare.ts'
import type { Progress } from '../../../src/cli/doctor/options.ts'
import { serve } from '../../support/serve.ts'

/** Starts a server whose streams end, so that an examination is short. */
const serveEvents = (headers: Record<string, string>) =>
  serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers }).end('data: 1\n\n')
  })

test('compare examines both endpoints, and names the proxy of the first', async () => {
  const proxied = await serveEvents({ server: 'nginx/1.22.1' })
  const direct = await serveEvents({ 'x-accel-buffering': 'no' })
  const steps: Progress[] = []
  const comparison = await compare(proxied.url, direct.url, {
    timeout: 20_000,
    onProgress: (progress) => steps.push(progress),
  })
  expect(comparison.proxied).toMatchObject({ url: `${proxied.url}/`, proxies: ['nginx'], status: 200 })
  expect(comparison.direct).toMatchObject({ url: `${direct.url}/`, proxies: [], status: 200 })
  expect(comparison.proxies).toEqual(['nginx'])
  expect(comparison.configurations).toMatchObject([{ proxy: 'nginx' }])
  expect(comparison.differences).toContainEqual({
    kind: 'header',
    name: 'x-accel-buffering',
    proxied: undefined,
    direct: 'no',
  })
  expect(steps.at(-1)?.step).toMatch(/ \(proxy\), .* \(direct\)$/)
})

test('compare rejects if one endpoint cannot be examined, and closes the connections to the other', async () => {
  const { server, url, sockets } = await serve(
    (_request, response) => void response.writeHead(200).write(':\n\n'),
  )
  const closed = http.createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as { port: number }
  await new Promise((resolve) => closed.close(resolve))
  await expect(compare(url, `http://127.0.0.1:${port}/`)).rejects.toThrow(`127.0.0.1:${port}`)
  await expect.poll(() => sockets.size).toBe(0)
  expect(server.listening).toBe(true)
})
