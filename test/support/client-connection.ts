import { onTestFinished, vi } from 'vitest'
import { type ConnectOptions, connect } from '../../src/client/index.ts'
import { fakeFetch, settled } from './fake-fetch.ts'

let count = 0

/** Connects a client to a fake network with fake timers. Records what is dispatched. */
export async function connectToFake(options: ConnectOptions & { path?: string } = {}) {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const { path = `/events-${++count}`, ...rest } = options
  const network = fakeFetch()
  const url = `https://example.com${path}`
  const source = connect(url, { fetch: network.fetch, ...rest })
  onTestFinished(() => {
    source.close()
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
  const seen: string[] = []
  const errors: unknown[] = []
  source.addEventListener('open', () => seen.push('open'))
  source.addEventListener('transport', ({ transport, reason }) => seen.push(`${transport} ${reason}`))
  source.addEventListener('error', ({ error }) => {
    errors.push(error)
    seen.push(`error ${source.readyState}`)
  })
  for (const name of ['message', 'price', 'gap', 'position'])
    source.addEventListener(name, ({ type, data, lastEventId }) =>
      seen.push(`${type} ${data} #${lastEventId}`),
    )
  await settled()
  return {
    ...network,
    source,
    path,
    seen,
    errors,
    /** Returns what was dispatched since the last call. */
    news: () => seen.splice(0),
    async passUntilRequest(): Promise<void> {
      while (network.requests.length === 0) {
        await vi.advanceTimersByTimeAsync(500)
        await settled()
      }
    },
    /** Lets time pass, in ms. */
    async pass(ms: number): Promise<void> {
      await vi.advanceTimersByTimeAsync(ms)
      await settled()
    },
  }
}
