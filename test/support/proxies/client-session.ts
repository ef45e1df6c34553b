import { build } from 'esbuild'
import type { Browser } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { connect } from '../../../src/client/connect.ts'
import type { TransportChange } from '../../../src/client/engine.ts'

/** Receives what a client emits. */
interface SessionListener {
  onMessage(data: string): void
  onTransport(change: TransportChange): void
}

/** Connects a client to a URL. The client resumes after an id, and is closed after the test. */
export type OpenClient = (url: string, lastEventId: string, listener: SessionListener) => unknown

/** Connects a client in this process. */
export const openInNode: OpenClient = (url, lastEventId, listener) => {
  const source = connect(url, { lastEventId })
  onTestFinished(() => source.close())
  source.addEventListener('message', ({ data }) => listener.onMessage(String(data)))
  source.addEventListener('transport', ({ transport, reason }) => listener.onTransport({ transport, reason }))
}

/** Connects a client in a page of a browser. The page has the origin of the URL. */
export function openInBrowser(browser: () => Browser): OpenClient {
  return async (url, lastEventId, listener) => {
    const context = await browser().newContext({ ignoreHTTPSErrors: true })
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.goto(new URL('/', url).href)
    await page.exposeFunction('onMessage', (data: string) => listener.onMessage(data))
    await page.exposeFunction('onTransport', (change: TransportChange) => listener.onTransport(change))
    await page.addScriptTag({ content: await clientScript() })
    await page.evaluate(listen, { url, lastEventId })
  }
}

let script: Promise<string> | undefined

function clientScript(): Promise<string> {
  const entryPoints = [new URL('../../../src/client/index.ts', import.meta.url).pathname]
  script ??= build({ entryPoints, bundle: true, format: 'iife', globalName: 'spillway', write: false }).then(
    ({ outputFiles: [file] }) => file?.text ?? '',
  )
  return script
}

// The globals of the page that the function below uses.
declare const window: {
  spillway: { connect: typeof connect }
  onMessage(data: string): void
  onTransport(change: TransportChange): void
}

function listen({ url, lastEventId }: { url: string; lastEventId: string }): void {
  const source = window.spillway.connect(url, { lastEventId })
  source.addEventListener('message', ({ data }) => window.onMessage(String(data)))
  source.addEventListener('transport', ({ transport, reason }) => window.onTransport({ transport, reason }))
}

/** The events and changes of the transport that a client has received. */
export class ClientSession implements SessionListener {
  readonly received: string[] = []
  readonly transports: TransportChange[] = []
  #onChange = () => {}

  onMessage(data: string): void {
    this.received.push(data)
    this.#onChange()
  }

  onTransport(change: TransportChange): void {
    this.transports.push(change)
    this.#onChange()
  }

  /** Resolves when a condition is true. It is checked at each event and at each change of the transport. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve
      })
    }
  }
}
