import { expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import { ClientSession, type OpenClient } from './client-session.ts'
import { describeBehind } from './describe-behind.ts'
import { ServedBehindProxy } from './served-behind-proxy.ts'
import type { ProxySetup, RELOADING } from './setups.ts'

const CLIENTS = 3
const INTERVAL = 20
// varnish takes seconds to start, and clients back off meanwhile.
const TIMEOUT = 180_000
// With a third cut of a stream younger than 5 s, the client would rightly poll.
const RESTARTS = 2

/** Clients of a channel on which the numbers from 0 are published. */
class Sessions {
  readonly #proxy: ServedBehindProxy
  readonly #sessions: ClientSession[] = []
  #published = 0
  #streams = 0
  #onStream = () => {}

  constructor(proxy: ServedBehindProxy) {
    this.#proxy = proxy
  }

  async open(open: OpenClient): Promise<void> {
    const news = new Hub().channel('news')
    const position = await news.publish({ data: 'before' })
    const options = { formats: ['event-stream', 'json'], retry: 100 } as const
    const { path } = this.#proxy.routeStreams(options, (stream) => {
      news.subscribe(stream)
      if (stream.format === 'event-stream') this.#streams += 1
      this.#onStream()
    })
    for (let count = 0; count < CLIENTS; count++) {
      const session = new ClientSession()
      await open(this.#proxy.url(path), position, session)
      this.#sessions.push(session)
    }
    const timer = setInterval(() => void news.publish({ data: `${this.#published++}` }), INTERVAL)
    onTestFinished(() => clearInterval(timer))
  }

  /** Resolves when each client has opened `count` streams on average. */
  async reopened(count: number): Promise<void> {
    while (this.#streams < CLIENTS * count) {
      await new Promise<void>((resolve) => {
        this.#onStream = resolve
      })
    }
  }

  /** Resolves when each client has received all events and one that is published from now on, each of them once. */
  async receiveAll(): Promise<void> {
    const expected = Array.from({ length: this.#published + 1 }, (_, number) => `${number}`)
    for (const session of this.#sessions) {
      await session.until(() => session.received.length >= expected.length)
      expect(session.received.slice(0, expected.length)).toEqual(expected)
    }
  }

  expectTransport(transport: object): void {
    expect(this.#sessions.map(({ transports }) => transports)).toEqual(this.#sessions.map(() => [transport]))
  }
}

const STREAM = { transport: 'event-stream', reason: undefined }

/** Tests that clients keep their transport while proxies are restarted. */
export function restartContract(setups: readonly ProxySetup[], open: OpenClient, transport = STREAM): void {
  describeBehind(setups, 'a client', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('keeps its transport, and loses and repeats no event, when the proxy is restarted', {
      timeout: TIMEOUT,
    }, async () => {
      const sessions = new Sessions(proxy)
      await sessions.open(open)
      await sessions.receiveAll()
      for (let restart = 0; restart < RESTARTS; restart++) {
        await proxy.restart()
        await sessions.receiveAll()
      }
      sessions.expectTransport(transport)
    })
  })
}

/** Tests that clients keep streaming while proxies replace their workers. */
export function reloadContract(setups: typeof RELOADING, open: OpenClient): void {
  describeBehind(setups, 'a client', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('keeps its stream, and loses and repeats no event, when the proxy is reloaded', async () => {
      const sessions = new Sessions(proxy)
      await sessions.open(open)
      await sessions.receiveAll()
      for (let reload = 1; reload <= RESTARTS; reload++) {
        await proxy.reload(setup.signal, setup.notice)
        await sessions.reopened(reload + 1)
        await sessions.receiveAll()
      }
      sessions.expectTransport(STREAM)
    })
  })
}
