import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { EventSource } from 'eventsource'
import type { EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'

const root = join(import.meta.dirname, '../..')

interface Example {
  readonly url: string
  readonly child: ChildProcess
  /** What it prints after the line with its URL. */
  readonly lines: AsyncIterator<string>
}

/** An example as a process of its own, as a reader starts it, on a free port. */
async function start(example: string, env: Record<string, string> = {}): Promise<Example> {
  const child = spawn(process.execPath, [join(root, 'examples', example)], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const [url] = /http\S+/.exec((await lines.next()).value ?? '') ?? []
  if (!url) throw new Error(`${example} did not say where it listens.`)
  return { url, child, lines }
}

/** Ends it as an operator does. Answers with its exit code, or the signal that ended it. */
async function stop({ child }: Example): Promise<number | NodeJS.Signals> {
  child.kill('SIGTERM')
  const [code, signal] = await once(child, 'exit')
  return code ?? signal
}

/** Starts an example for the tests of a `describe`. */
function example(
  name: string,
  env?: Record<string, string>,
): { readonly url: string; readonly lines: Example['lines'] } {
  let started: Example
  beforeAll(async () => {
    started = await start(name, env)
  })
  afterAll(() => stop(started))
  return {
    get url() {
      return started.url
    },
    get lines() {
      return started.lines
    },
  }
}

type Event = EventSourceMessage & { readonly id: string }

/** The events of a response, until it ends. */
async function* eventsOf({ body }: Response): AsyncGenerator<Event> {
  const parsed = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const event of parsed ?? []) yield { ...event, id: event.id ?? '' }
}

/** The next events of a URL. Leaves after them. */
async function take(count: number, url: string, init?: RequestInit): Promise<Event[]> {
  const taken: Event[] = []
  for await (const event of eventsOf(await fetch(url, init))) if (taken.push(event) === count) break
  return taken
}

describe('docs/examples.md', () => {
  const page = readFileSync(join(root, 'docs/examples.md'), 'utf8')
  const listed = [...page.matchAll(/^- \[`examples\/([^`]+?)\/?`\]/gm)].map(([, name]) => name ?? '')

  it('names each example once, and nothing else', () => {
    expect([...listed].sort()).toEqual(readdirSync(join(root, 'examples')).sort())
  })

  it('says what each shows in one line', () => {
    const lines = page.split('\n').filter((line) => line.startsWith('- '))
    expect(lines.filter((line) => !/^- \[`[^`]+`\]\([^)]+\): \S.+\.$/.test(line))).toEqual([])
  })
})

describe('examples/http.js', () => {
  const clock = example('http.js')

  it('tells the time', async () => {
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
  const server = example('http2.js')

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
  const notes = example('express.js')

  const add = async (text: string) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
    }
    const { id } = (await (await fetch(notes.url, init)).json()) as { id: string }
    return id
  }

  it('serves notes as they come to who accepts events, and as a list to others', async () => {
    const live = eventsOf(await fetch(notes.url))
    const first = await add('one')
    expect((await live.next()).value).toMatchObject({ event: 'note', id: first, data: '{"text":"one"}' })
    await live.return(undefined)

    const second = await add('two')
    const missed = await take(1, notes.url, { headers: { 'last-event-id': first } })
    expect(missed).toMatchObject([{ id: second, data: '{"text":"two"}' }])
    const list = await fetch(notes.url, { headers: { accept: 'application/json' } })
    expect(await list.json()).toEqual(['one', 'two'])
  })

  it('ends well with an open stream, which is told when to come back', async () => {
    const short = await start('express.js')
    const open = await fetch(short.url)
    const body = open.text()
    expect(await stop(short)).toBe(0)
    expect(await body).toMatch(/^:\nretry: \d+\nretry: \d+\n$/)
  })
})

describe('examples/tokens.js', () => {
  const model = example('tokens.js')

  const prompt = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt":"What is a spillway?"}',
  }

  it('sends an answer token by token, says that it is done, and ends', async () => {
    const events = await take(Number.POSITIVE_INFINITY, model.url, prompt)
    const tokens = events.slice(0, -1)
    expect(new Set(tokens.map(({ event }) => event))).toEqual(new Set(['token']))
    const answer = tokens.map(({ data }) => JSON.parse(data).token).join('')
    expect(answer).toMatch(/^You asked: What is a spillway\? .*stands\.$/)
    expect(events.at(-1)).toMatchObject({ event: 'done', data: '{"reason":"stop"}' })
    expect((await model.lines.next()).value).toBe(`Made ${tokens.length} of ${tokens.length} tokens`)
  })

  it('stops the model when the client leaves', async () => {
    await take(1, model.url, prompt)
    const [, made, all] = /^Aborted after (\d+) of (\d+) tokens$/.exec((await model.lines.next()).value) ?? []
    expect(Number(made)).toBeGreaterThanOrEqual(1)
    expect(Number(made)).toBeLessThan(Number(all))
  })
})

describe('examples/cookie-auth', () => {
  const server = example('cookie-auth/server.js')

  const post = (path: string, headers = {}) => fetch(server.url + path, { method: 'POST', headers })

  async function logIn(): Promise<{ cookie: string }> {
    const [cookie = ''] = (await post('/login')).headers.getSetCookie()
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict;/)
    return { cookie: cookie.split(';')[0] ?? '' }
  }

  it.each(['', 'session=', 'session=00000000-0000-0000-0000-000000000000', 'other=1'])(
    'refuses an EventSource with the cookie "%s", which gives up for good',
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

  it('serves who is logged in, until he logs out, and then ends his streams and refuses him', async () => {
    const headers = await logIn()
    const others = await logIn()
    const response = await fetch(`${server.url}/events`, { headers })
    const [event] = await take(1, `${server.url}/events`, { headers: others })
    expect(Date.parse(JSON.parse(event?.data ?? ''))).toBeGreaterThan(0)

    await post('/logout', headers)
    expect(await response.text()).toMatch(/retry: 100\n$/)
    expect((await fetch(`${server.url}/events`, { headers })).status).toBe(401)
    expect(await take(1, `${server.url}/events`, { headers: others })).toHaveLength(1)
  })

  describe.skipIf(!hasChromium)('in a browser', () => {
    const browser = inBrowser()

    it('shows who is logged in', async () => {
      const page = await browser.open(server.url)
      const shows = (state: string) => page.locator('h1', { hasText: state }).waitFor()
      await shows('Logged out')
      await page.getByText('Log in').click()
      await shows('Logged in')
      await page.locator('li').first().waitFor()
      await page.getByText('Log out').click()
      await shows('Logged out')
    })
  })
})

describe('examples/token-auth', () => {
  const server = example('token-auth/server.js')

  const tokenOf = async (url: string) => (await fetch(`${url}/token`, { method: 'POST' })).text()
  const events = (token: string, url = server.url) => `${url}/events?${new URLSearchParams({ token })}`

  it('serves who has a token', async () => {
    const [first, second] = await take(2, events(await tokenOf(server.url)))
    expect(JSON.parse(second?.data ?? '').count - JSON.parse(first?.data ?? '').count).toBe(1)
  })

  it('refuses a token that was forged', async () => {
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

  it('refuses a token that has expired', async () => {
    const late = await start('token-auth/server.js', { TOKEN_MS: '0' })
    expect((await fetch(events(await tokenOf(late.url), late.url))).status).toBe(401)
    await stop(late)
  })

  describe.skipIf(!hasChromium)('in a browser', () => {
    const browser = inBrowser()
    const short = example('token-auth/server.js', { TOKEN_MS: '1000' })

    it('goes on with a new token where it stopped, when the old one has expired', async () => {
      const page = await browser.open(short.url)
      const numbers = async () => (await page.locator('output, span, b').allTextContents()).map(Number)
      await expect.poll(async () => (await numbers())[0]).toBeGreaterThan(0)
      const [count = 0, seen = 0] = await numbers()
      await expect.poll(async () => (await numbers())[2]).toBeGreaterThanOrEqual(3)
      const [laterCount = 0, laterSeen = 0] = await numbers()
      // What was published while it had no stream came too.
      expect(laterSeen - seen).toBe(laterCount - count)
    })
  })
})

describe.concurrent('examples/user-channels', () => {
  const server = example('user-channels/server.js')

  it('shows a user the shared events and his own, up to his level, and nobody else’s', async () => {
    const [editor, reader] = await Promise.all([takeAs('editor', 6), takeAs('reader', 3)])
    expect(editor).toEqual(visibleTo('editor', editor))
    expect(reader).toEqual(visibleTo('reader', reader))
    expect(new Set(editor.map((event) => event.for))).toEqual(new Set(['news', 'user:editor']))
    expect(new Set(reader.map((event) => event.for))).toEqual(new Set(['news', 'user:reader']))
  })

  it('replays the same to who comes back, and goes on live (rule 26)', async () => {
    const [first] = await takeAs('reader', 1)
    // Meanwhile much happens that he may not see.
    const editors = await takeAs('editor', 6)
    const back = await takeAs('reader', 4, first?.id)
    const seen = [...(first ? [first] : []), ...back]
    expect(seen).toEqual(visibleTo('reader', seen))
    const left = editors.at(-1)?.count ?? 0
    expect(back[0]?.count).toBeLessThan(left)
    expect(back.at(-1)?.count).toBeGreaterThan(left)
  })

  it('replays nothing more to who comes back with the place of somebody else (rule 26)', async () => {
    const editors = await takeAs('editor', 6)
    const back = await takeAs('reader', 3, editors[0]?.id)
    expect(back[0]?.count).toBeLessThan(editors.at(-1)?.count ?? 0)
    expect(back).toEqual(visibleTo('reader', back))
  })

  it('turns strangers away', async () => {
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

  /** The next events that a user is sent. */
  async function takeAs(user: string, count: number, lastEventId = ''): Promise<Seen[]> {
    const headers = { 'Last-Event-ID': lastEventId }
    const events = await take(count, `${server.url}/events?user=${user}`, { headers })
    expect(new Set(events.map(({ event }) => event))).toEqual(new Set([undefined]))
    return events.map(({ id, data }) => ({ id, ...JSON.parse(data) }))
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

/** A browser for the tests of a `describe`. */
function inBrowser(): { open(url: string): Promise<Page> } {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser.close())
  return {
    async open(url) {
      const page = await browser.newPage()
      await page.goto(url)
      return page
    },
  }
}
