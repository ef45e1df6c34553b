import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { startEventServer } from './event-server.ts'
import { type Hold, startHoldingProxy } from './holding-proxy.ts'

/** A page in a browser. */
export interface Tab {
  /** Returns the value of an expression, which JSON can carry. */
  evaluate<T>(expression: string): Promise<T>
  reload(): Promise<unknown>
}

const fileOf = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../dist/esm/client', name), 'utf8')

const script = `
  import { connect } from '/client.js'
  window.received = []
  window.transports = []
  window.source = connect('/events', { share: location.hash === '#share', persist: location.hash === '#persist' })
  source.onmessage = ({ data, origin }) => received.push(data)
  source.addEventListener('transport', ({ transport, reason }) => transports.push(transport + ' ' + reason))
`

const files = {
  '/': { type: 'text/html', body: `<!doctype html><script type="module">${script}</script>` },
  '/client.js': { type: 'text/javascript', body: fileOf('index.js') },
  '/share.js': { type: 'text/javascript', body: fileOf('share.js') },
  '/favicon.ico': { type: 'image/png', body: '' },
}

/** Returns the data of the events that a page has received. */
export const receivedBy = (tab: Tab) => tab.evaluate<string[]>('received')

/** Returns the transports that a page has used, for example `json cuts`. */
export const transportsOf = (tab: Tab) => tab.evaluate<string[]>('transports')

/** Waits until a page has received more than `count` events. */
export const receivesMoreThan = (tab: Tab, count: number) =>
  expect.poll(async () => (await receivedBy(tab)).length).toBeGreaterThan(count)

/**
 * Serves a page that connects with the built client, behind a proxy. The fragment `#share` or `#persist` of its URL
 * sets this option. An event is published each `interval` ms, unless it is 0. `heartbeat` in ms.
 */
export async function serveClientPage(hold: Hold = 'none', { interval = 20, heartbeat = 15_000 } = {}) {
  // A poll that is held longer delays the end of a test.
  const server = await startEventServer({ files, heartbeat, hold: 1000 })
  const proxy = await startHoldingProxy(server.port, () => hold)
  const publishNext = () => server.publish(String(server.log.length))
  const timer = interval ? setInterval(publishNext, interval) : undefined
  onTestFinished(() => clearInterval(timer))
  return {
    ...server,
    url: proxy.url,
    publishNext,
    /** Stops publishing, and expects that a page has all events after its first one, once and in order. */
    async expectExactlyOnce(tab: Tab): Promise<void> {
      clearInterval(timer)
      await expect.poll(async () => (await receivedBy(tab)).at(-1)).toBe(server.log.at(-1))
      const events = await receivedBy(tab)
      expect(events).toEqual(server.log.slice(-events.length))
    },
  }
}
