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
    const [editor, reader] = await Promise.all([take('editor', 6), take('reader', 3)])
    expect(editor).toEqual(visibleTo('editor', editor))
    expect(reader).toEqual(visibleTo('reader', reader))
    expect(new Set(editor.map((event) => event.for))).toEqual(new Set(['news', 'user:editor']))
    expect(new Set(reader.map((event) => event.for))).toEqual(new Set(['news', 'user:reader']))
  })

  it('replays the same to who comes back, and goes on live (rule 26)', async () => {
    const [first] = await take('reader', 1)
    // Meanwhile much happens that he may not see.
    const editors = await take('editor', 6)
    const back = await take('reader', 4, first?.id)
    const seen = [...(first ? [first] : []), ...back]
    expect(seen).toEqual(visibleTo('reader', seen))
    const left = editors.at(-1)?.count ?? 0
    expect(back[0]?.count).toBeLessThan(left)
    expect(back.at(-1)?.count).toBeGreaterThan(left)
  })

  it('replays nothing more to who comes back with the place of somebody else (rule 26)', async () => {
    const editors = await take('editor', 6)
    const back = await take('reader', 3, editors[0]?.id)
    expect(back[0]?.count).toBeLessThan(editors.at(-1)?.count ?? 0)
    expect(back).toEqual(visibleTo('reader', back))
  })

  it('turns strangers away', async () => {
    for (const query of ['', '?user=', '?user=stranger', '?user=__proto__']) {
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
  function visibleTo(user: 'editor' | 'reader', seen: readonly Seen[]): Seen[] {
    const [first, last] = [seen[0]?.count ?? 0, seen.at(-1)?.count ?? 0]
    const epoch = seen[0]?.id.split('-')[0]
    const published = Array.from({ length: last - first + 1 }, (_, index) => {
      const count = first + index
      const name = ['user:reader', 'news', 'user:editor', 'news'][count % 4] ?? ''
      return { id: `${epoch}-${count}`, count, level: 1 + ((count - 1) % 3), for: name }
    })
    const level = { editor: 3, reader: 1 }[user]
    return published.filter((event) => ['news', `user:${user}`].includes(event.for) && event.level <= level)
  }
})
