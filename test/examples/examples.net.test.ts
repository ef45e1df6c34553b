import { readdirSync, readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { EventSource } from 'eventsource'
import type { EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { isPosition } from '../support/parse.ts'
import { Example, startExample } from './example.ts'

const root = join(import.meta.dirname, '../..')

type Event = EventSourceMessage & { readonly id: string }

/** The events of a response without positions, until it ends. */
async function* eventsOf({ body }: Response): AsyncGenerator<Event> {
  const parsed = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const event of parsed ?? []) if (!isPosition(event)) yield { ...event, id: event.id ?? '' }
}

/** Reads a number of events of a URL and disconnects. */
async function take(count: number, url: string, init?: RequestInit): Promise<Event[]> {
  const taken: Event[] = []
  for await (const event of eventsOf(await fetch(url, init))) if (taken.push(event) === count) break
  return taken
}

describe('docs/examples.md', () => {
  const page = readFileSync(join(root, 'docs/examples.md'), 'utf8')
  const listed = [...page.matchAll(/^- \[`examples\/([^`]+?)\/?`\]/gm)].map(([, name]) => name ?? '')

  it('lists each example once, and nothing else', () => {
    expect([...listed].sort()).toEqual(readdirSync(join(root, 'examples')).sort())
  })

  it('describes each example in one line', () => {
    const lines = page.split('\n').filter((line) => line.startsWith('- '))
    expect(lines.filter((line) => !/^- \[`[^`]+`\]\([^)]+\): \S.+\.$/.test(line))).toEqual([])
  })
})

describe('examples/http.js', () => {
  const clock = startExample('http.js')

  it('sends the time at once, then once a second', async () => {
    const events = eventsOf(await fetch(clock.url))
    const openedAt = Date.now()
    const ticks: Event[] = [(await events.next()).value, (await events.next()).value]
    await events.return(undefined)
    expect(ticks.map(({ event }) => event)).toEqual(['tick', 'tick'])
    const [first = 0, second = 0] = ticks.map(({ data }) => Date.parse(JSON.parse(data)))
    // At once, and then each second, as far as a busy machine keeps the time.
    expect(first - openedAt).toBeLessThan(900)
    expect(second - first).toBeGreaterThan(500)
  })
})

describe('examples/http2.js', () => {
  const server = startExample('http2.js')

  it('sends many streams over one connection', async () => {
    const session = http2.connect(server.url)
    onTestFinished(() => session.destroy())
    const paths = Array.from({ length: 20 }, (_, index) => `/${index}`)
    const seen = await Promise.all(
      paths.map(async (path) => {
        for await (const chunk of session.request({ ':path': path }).setEncoding('utf8')) {
          const [, data] = /^data: (.*)$/m.exec(chunk) ?? []
          if (data) return JSON.parse(data)
        }
      }),
    )
    expect(seen).toEqual(paths.map((path) => ({ path, count: 0 })))
  })
})

describe('examples/express.js', () => {
  const notes = startExample('express.js')
  const accept = 'text/event-stream'

  const add = async (text: string) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
    }
    const { id } = (await (await fetch(notes.url, init)).json()) as { id: string }
    return id
  }

  it('sends the notes as events to an event stream client, and as a list to others', async () => {
    const live = eventsOf(await fetch(notes.url, { headers: { accept } }))
    const first = await add('one')
    expect((await live.next()).value).toMatchObject({ event: 'note', id: first, data: '{"text":"one"}' })
    await live.return(undefined)

    const second = await add('two')
    const missed = await take(1, notes.url, { headers: { accept, 'last-event-id': first } })
    expect(missed).toMatchObject([{ id: second, data: '{"text":"two"}' }])
    const list = await fetch(notes.url)
    expect(await list.json()).toEqual(['one', 'two'])
  })

  it('exits with code 0 when a stream is open, and sends it a reconnection time', async () => {
    const short = await Example.start('express.js')
    const open = await fetch(short.url, { headers: { accept } })
    const body = open.text()
    expect(await short.stop()).toBe(0)
    expect(await body).toMatch(
      /^:\nretry: \d+\n: heartbeat \d+\nid: \S+\nevent: position\ndata: \{\}\n\nretry: \d+\n$/,
    )
  })
})

describe('examples/tokens.js', () => {
  const model = startExample('tokens.js')

  const prompt = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt":"What is a spillway?"}',
  }

  it('sends the answer token by token, then a `done` event', async () => {
    const events = await take(Number.POSITIVE_INFINITY, model.url, prompt)
    const tokens = events.slice(0, -1)
    expect(new Set(tokens.map(({ event }) => event))).toEqual(new Set(['token']))
    const answer = tokens.map(({ data }) => JSON.parse(data).token).join('')
    expect(answer).toMatch(/^You asked: What is a spillway\? .*stands\.$/)
    expect(events.at(-1)).toMatchObject({ event: 'done', data: '{"reason":"stop"}' })
    expect((await model.lines.next()).value).toBe(`Made ${tokens.length} of ${tokens.length} tokens`)
  })

  it('aborts the model when the client disconnects', async () => {
    await take(1, model.url, prompt)
    const [, made, all] = /^Aborted after (\d+) of (\d+) tokens$/.exec((await model.lines.next()).value) ?? []
    expect(Number(made)).toBeGreaterThanOrEqual(1)
    expect(Number(made)).toBeLessThan(Number(all))
  })
})

describe('examples/cookie-auth', () => {
  const server = startExample('cookie-auth/server.js')

  const post = (path: string, headers = {}) => fetch(server.url + path, { method: 'POST', headers })

  async function logIn(): Promise<{ cookie: string }> {
    const [cookie = ''] = (await post('/login')).headers.getSetCookie()
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict;/)
    return { cookie: cookie.split(';')[0] ?? '' }
  }

  it.each(['', 'session=', 'session=00000000-0000-0000-0000-000000000000', 'other=1'])(
    'responds with 401 to the cookie "%s", so that an EventSource does not reconnect',
    async (cookie) => {
      const source = new EventSource(`${server.url}/events`, {
        fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, cookie } }),
      })
      const code = await new Promise((resolve) =>
        source.addEventListener('error', ({ code }) => resolve(code)),
      )
      expect([code, source.readyState]).toEqual([401, EventSource.CLOSED])
    },
  )

  it('ends the streams of a user who logs out, and responds with 401 from then on', async () => {
    const headers = await logIn()
    const others = await logIn()
    const response = await fetch(`${server.url}/events`, { headers })
    const [event] = await take(1, `${server.url}/events`, { headers: others })
    expect(Date.parse(JSON.parse(event?.data ?? ''))).toBeGreaterThan(0)

    await post('/logout', headers)
    expect(await response.text()).toMatch(/retry: (1\d\d|200)\n$/)
    expect((await fetch(`${server.url}/events`, { headers })).status).toBe(401)
    expect(await take(1, `${server.url}/events`, { headers: others })).toHaveLength(1)
  })
})

describe('examples/token-auth', () => {
  const server = startExample('token-auth/server.js')

  const tokenOf = async (url: string) => (await fetch(`${url}/token`, { method: 'POST' })).text()
  const events = (token: string, url = server.url) => `${url}/events?${new URLSearchParams({ token })}`

  it('sends events to a client with a token', async () => {
    const [first, second] = await take(2, events(await tokenOf(server.url)))
    expect(JSON.parse(second?.data ?? '').count - JSON.parse(first?.data ?? '').count).toBe(1)
  })

  it('responds with 401 to a forged token', async () => {
    const [claims = '', signature = ''] = (await tokenOf(server.url)).split('.')
    const others = Buffer.from(JSON.stringify({ user: 'editor', expires: Date.now() + 9e9 })).toString(
      'base64url',
    )
    const forged = [
      ...['', '.', claims, `${claims}.`, `.${signature}`, `${claims}.${signature.slice(0, -4)}`],
      ...[`${claims}.${'A'.repeat(signature.length)}`, `${others}.${signature}`, `${claims}A.${signature}`],
      ...['%00', '{}.{}', `${Buffer.from('null').toString('base64url')}.`],
    ]
    for (const token of forged) expect([token, (await fetch(events(token))).status]).toEqual([token, 401])
    expect((await fetch(`${server.url}//`)).status).toBe(401)
  })

  it('responds with 401 to an expired token', async () => {
    const late = await Example.start('token-auth/server.js', { TOKEN_MS: '0' })
    expect((await fetch(events(await tokenOf(late.url), late.url))).status).toBe(401)
    await late.stop()
  })
})

describe.concurrent('examples/user-channels', () => {
  const server = startExample('user-channels/server.js')

  it('sends a user the shared events and the own ones up to the level of the user', async () => {
    const [editor, reader] = await Promise.all([takeAs('editor', 6), takeAs('reader', 3)])
    expect(editor).toEqual(visibleTo('editor', editor))
    expect(reader).toEqual(visibleTo('reader', reader))
    expect(new Set(editor.map((event) => event.for))).toEqual(new Set(['news', 'user:editor']))
    expect(new Set(reader.map((event) => event.for))).toEqual(new Set(['news', 'user:reader']))
  })

  it('replays the same events to a user who reconnects, then sends live ones (rule 26)', async () => {
    const [first] = await takeAs('reader', 1)
    // Events that the reader may not see are published meanwhile.
    const editors = await takeAs('editor', 6)
    const back = await takeAs('reader', 4, first?.id)
    const seen = [...(first ? [first] : []), ...back]
    expect(seen).toEqual(visibleTo('reader', seen))
    const left = editors.at(-1)?.count ?? 0
    expect(back[0]?.count).toBeLessThan(left)
    expect(back.at(-1)?.count).toBeGreaterThan(left)
  })

  it('replays the own events only to a user who resumes from the id of another user (rule 26)', async () => {
    const editors = await takeAs('editor', 6)
    const back = await takeAs('reader', 3, editors[0]?.id)
    expect(back[0]?.count).toBeLessThan(editors.at(-1)?.count ?? 0)
    expect(back).toEqual(visibleTo('reader', back))
  })

  it('responds with 403 to an unknown user', async () => {
    for (const query of ['', '?user=', '?user=stranger', '?user=__proto__']) {
      expect((await fetch(`${server.url}/events${query}`)).status).toBe(403)
    }
  })

  it('serves its page', async () => {
    expect(await (await fetch(server.url)).text()).toContain('<title>Who sees what</title>')
  })

  interface Seen {
    readonly id: string
    readonly count: number
    readonly level: number
    readonly for: string
  }

  /** Reads a number of events as a user. */
  async function takeAs(user: string, count: number, lastEventId = ''): Promise<Seen[]> {
    const headers = { 'Last-Event-ID': lastEventId }
    const events = await take(count, `${server.url}/events?user=${user}`, { headers })
    expect(new Set(events.map(({ event }) => event))).toEqual(new Set([undefined]))
    return events.map(({ id, data }) => ({ id, ...JSON.parse(data) }))
  }

  /** Every event that a user may see, from the first to the last of those seen. */
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

describe('examples/fallback', () => {
  const server = startExample('fallback/server.js', { NGINX_PATH: '/missing', LIGHTTPD_PATH: '/missing' })

  it('reports each proxy that is not installed in one line', async () => {
    const lines = [await server.lines.next(), await server.lines.next(), await server.lines.next()]
    expect(lines.map(({ value }) => value)).toEqual([
      'nginx with default settings: not installed',
      'nginx that ignores X-Accel-Buffering: not installed',
      'lighttpd as installed: not installed',
    ])
  })

  it('serves a page, the client that it imports, and the event after the count of the page', async () => {
    const page = await (await fetch(server.url)).text()
    const [, id = '', count] = /data-last-event-id="(.+?)">(\d+)</.exec(page) ?? []
    for (const path of ['/fallback.js', '/client/index.js', '/client/share.js']) {
      const { status, headers } = await fetch(server.url + path)
      expect([path, status, headers.get('content-type')]).toEqual([path, 200, 'text/javascript'])
    }
    const [event] = await take(1, `${server.url}/events`, { headers: { 'last-event-id': id } })
    expect([event?.event, JSON.parse(event?.data ?? '').count]).toEqual(['count', Number(count) + 1])
    const poll = await fetch(`${server.url}/events?format=json&lastEventId=${id}`)
    expect(await poll.json()).toMatchObject({ events: [{ event: 'count', id: event?.id }] })
    expect((await fetch(`${server.url}/server.js`)).status).toBe(404)
  })
})
