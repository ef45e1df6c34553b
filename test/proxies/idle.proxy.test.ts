import { describe, expect, it } from 'vitest'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { IDLE_TIMEOUT, isInstalled, WITH_IDLE_TIMEOUT, WITH_SEND_TIMEOUT } from '../support/proxies/setups.ts'

// The proxies wait at the same time, because each of them has to wait for its timeout.

describe(`proxies that close an idle stream after ${IDLE_TIMEOUT} s`, () => {
  const proxies = WITH_IDLE_TIMEOUT.filter(({ isInstalled }) => isInstalled).map((setup) => ({
    name: setup.name,
    proxy: new ServedBehindProxy(setup),
  }))

  it('close a stream without heartbeats', async () => {
    const ends = proxies.map(async ({ name, proxy }) => {
      const { client } = await proxy.open({ heartbeat: 0 })
      return [name, await client.ended] as const
    })
    expect(Object.fromEntries(await Promise.all(ends))).toEqual(
      Object.fromEntries(proxies.map(({ name }) => [name, expect.stringMatching(/^(end|cut)$/)])),
    )
  })

  it('keep a stream with heartbeats, which delivers an event later', async () => {
    const streams = proxies.map(({ proxy }) => outlivesTimeout(proxy))
    const names = proxies.map(({ name }) => name)
    const kept = (await Promise.all(streams)).map((isKept, i) => isKept && names[i])
    expect(kept).toEqual(names)
  })
})

describe.runIf(isInstalled('varnish'))(`varnish with a send_timeout of ${IDLE_TIMEOUT} s`, () => {
  const limited = new ServedBehindProxy(WITH_SEND_TIMEOUT.limited)
  const piped = new ServedBehindProxy(WITH_SEND_TIMEOUT.piped)

  it('closes a stream with heartbeats after this time, unless it is piped', async () => {
    const streams = [limited, piped].map(outlivesTimeout)
    expect(await Promise.all(streams)).toEqual([false, true])
  })
})

/** Opens a stream with heartbeats. Returns whether it delivers an event after the timeout. */
async function outlivesTimeout(proxy: ServedBehindProxy): Promise<boolean> {
  const { client, stream } = await proxy.open({ heartbeat: 400 })
  // There are at least 200 ms between two heartbeats.
  const isLonger = (body: string) => (body.match(/^:$/gm)?.length ?? 0) > 5 * IDLE_TIMEOUT
  await Promise.race([client.until(isLonger), client.ended])
  stream.send({ data: 'later' })
  await Promise.race([client.until('data: later\n\n'), client.ended])
  return client.body.includes('data: later\n\n')
}
