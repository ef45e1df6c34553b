import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const RUN = join(import.meta.dirname, '../../soak/run.js')
const OPTIONS = ['--streams', '40', '--slow', '4', '--churn', '20', '--rate', '1000', '--interval', '0.1']

/** Runs a short soak, and returns its exit code, its last lines and its files. */
async function soak(server: string, minutes: number) {
  const out = mkdtempSync(join(tmpdir(), 'soak-'))
  onTestFinished(() => rmSync(out, { recursive: true }))
  const args = [RUN, ...OPTIONS, '--server', server, '--minutes', String(minutes), '--out', out]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill())
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  const [code] = await once(child, 'close')
  const read = (name: string) => readFileSync(join(out, name), 'utf8')
  return { code, output, read, ...JSON.parse(read('samples.json')) }
}

test('a soak writes samples and plots of the server, and counts the events that clients received', async () => {
  const { clients, output, read, samples } = await soak('spillway', 0.1)
  const figures = ['rss', 'heapUsed', 'heapTotal', 'external', 'arrayBuffers', 'brk', 'anonymous', 'files']
  for (const name of figures) expect(samples.at(-1)[name]).toBeGreaterThan(0)
  // A client that was cut reconnects after at most two seconds.
  for (const name of ['handles', 'descriptors']) expect(samples.at(-1)[name]).toBeGreaterThan(10)
  expect(samples.at(-1).delayMax).toBeGreaterThanOrEqual(0)
  expect(clients).toMatchObject({ gaps: 0, lost: 0, repeated: 0 })
  expect(clients.events).toBeGreaterThan(0)
  expect(clients.reconnects).toBeGreaterThan(0)
  for (const name of ['memory', 'handles', 'delay']) expect(read(`${name}.svg`)).toMatch(/<path d="M[^"]+L/)
  expect(output).toContain('rss')
})

test('a soak compares with a server that writes to each response', async () => {
  const { clients, samples } = await soak('bare', 0.05)
  expect(samples.length).toBeGreaterThan(0)
  expect(clients.events).toBeGreaterThan(0)
})
