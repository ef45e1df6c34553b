import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** An example as a process of its own, as a reader starts it. Answers where it listens. */
async function start(example: string): Promise<{ url: string; child: ChildProcess }> {
  const script = fileURLToPath(new URL(`../examples/${example}`, import.meta.url))
  const env = { ...process.env, PORT: '0' }
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface(child.stdout)) {
    return { url: line.slice(line.indexOf('http')), child }
  }
  throw new Error(`${example} ended before it listened.`)
}

describe.concurrent('examples/channels', () => {
  let example: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    example = await start('channels/server.js')
  })

  afterAll(async () => {
    example.child.kill()
    await once(example.child, 'exit')
  })

  it('shows a user the shared events and his own, up to his level, and nobody else’s', async () => {
    const [ada, bob] = await Promise.all([take('ada', 6), take('bob', 3)])
    expect(ada).toEqual(visibleTo('ada', ada))
    expect(bob).toEqual(visibleTo('bob', bob))
    expect(new Set(ada.map((event) => event.for))).toEqual(new Set(['news', 'user:ada']))
    expect(new Set(bob.map((event) => event.for))).toEqual(new Set(['news', 'user:bob']))
  })

  it('replays the same to who comes back, and goes on live (rule 26)', async () => {
    const [first] = await take('bob', 1)
    // Meanwhile much happens that he may not see.
    const adas = await take('ada', 6)
    const back = await take('bob', 4, first?.id)
    const seen = [...(first ? [first] : []), ...back]
    expect(seen).toEqual(visibleTo('bob', seen))
    const left = adas.at(-1)?.count ?? 0
    expect(back[0]?.count).toBeLessThan(left)
    expect(back.at(-1)?.count).toBeGreaterThan(left)
  })

  it('replays nothing more to who comes back with the place of somebody else (rule 26)', async () => {
    const adas = await take('ada', 6)
    const back = await take('bob', 3, adas[0]?.id)
    expect(back[0]?.count).toBeLessThan(adas.at(-1)?.count ?? 0)
    expect(back).toEqual(visibleTo('bob', back))
  })

  it('turns strangers away', async () => {
    for (const query of ['', '?user=', '?user=eve', '?user=__proto__']) {
      expect((await fetch(`${example.url}/events${query}`)).status).toBe(403)
    }
  })

  it('serves its page', async () => {
    expect(await (await fetch(example.url)).text()).toContain('<title>Who sees what</title>')
  })

  interface Seen {
    readonly id: string
    readonly count: number
    readonly level: number
    readonly for: string
  }

  /** The next events that a user is sent. Leaves. */
  async function take(user: string, count: number, lastEventId = ''): Promise<Seen[]> {
    const seen: Seen[] = []
    for await (const { id, data, event } of events(`/events?user=${user}`, lastEventId)) {
      expect(event).toBeUndefined()
      seen.push({ id, ...JSON.parse(data) })
      if (seen.length === count) break
    }
    return seen
  }

  async function* events(
    path: string,
    lastEventId: string,
  ): AsyncGenerator<EventSourceMessage & { id: string }> {
    const { body } = await fetch(example.url + path, { headers: { 'Last-Event-ID': lastEventId } })
    const parsed = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
    for await (const event of parsed ?? []) yield { ...event, id: event.id ?? '' }
  }

  /** All that a user may see from the first of these events to the last one: no event more, none less. */
  function visibleTo(user: 'ada' | 'bob', seen: readonly Seen[]): Seen[] {
    const [first, last] = [seen[0]?.count ?? 0, seen.at(-1)?.count ?? 0]
    const epoch = seen[0]?.id.split('-')[0]
    const published = Array.from({ length: last - first + 1 }, (_, index) => {
      const count = first + index
      const name = ['user:bob', 'news', 'user:ada', 'news'][count % 4] ?? ''
      return { id: `${epoch}-${count}`, count, level: 1 + ((count - 1) % 3), for: name }
    })
    const level = { ada: 3, bob: 1 }[user]
    return published.filter((event) => ['news', `user:${user}`].includes(event.for) && event.level <= level)
  }
})
