import type { Browser } from 'playwright-core'
import type { Protocol } from '../support/serve.ts'
import type { ClientUnderTest, Received } from './contract.ts'

/** The `EventSource` of a page in a browser. */
export function chromiumClient(name: string, protocol: Protocol, browser: () => Browser): ClientUnderTest {
  return {
    name,
    protocol,
    sendsAnyId: true,
    async connect(url, names, { onEvent, onGivenUp }) {
      const context = await browser().newContext({ ignoreHTTPSErrors: true })
      const page = await context.newPage()
      await page.goto(new URL('/', url).href)
      await page.exposeFunction('onEvent', onEvent)
      await page.exposeFunction('onGivenUp', onGivenUp)
      await page.evaluate(listen, { url, names })
      return () => context.close()
    },
  }
}

// The globals of the page that the function below uses.
declare const window: { onEvent(event: Received): void; onGivenUp(): void }
declare class EventSource {
  readonly readyState: number
  constructor(url: string)
  addEventListener(name: string, listener: (event: Received) => void): void
}

function listen({ url, names }: { url: string; names: readonly string[] }): void {
  const source = new EventSource(url)
  for (const name of names) {
    source.addEventListener(name, ({ type, data, lastEventId }) =>
      window.onEvent({ type, data, lastEventId }),
    )
  }
  source.addEventListener('error', () => source.readyState === 2 && window.onGivenUp())
}
