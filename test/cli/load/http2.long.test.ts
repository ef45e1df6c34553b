import { constants } from 'node:http2'
import { describe, expect, test } from 'vitest'
import { Concurrency, listenHttp2, Responses, sessionOf, streamOf } from './http2-server.ts'
import { LoadProcess, NEVER_REFUSED, startLoad } from './run-load.ts'
import { events, openStream, serveScript } from './scripted-server.ts'

const SHARED = ['--insecure', '--streams-per-session']

/** Begins a run of streams that share sessions. */
function startShared(url: string, streams: number, perSession: number, ...args: string[]) {
  return startLoad(url, '--streams', String(streams), ...SHARED, String(perSession), ...args)
}

/** Begins a run whose streams do not reconnect. */
function startOnce(url: string, streams: number, perSession: number): LoadProcess {
  const time = ['--duration', '10m', '--retry', '1h', ...NEVER_REFUSED]
  return new LoadProcess([
    url,
    '--json',
    '--streams',
    String(streams),
    ...SHARED,
    String(perSession),
    ...time,
  ])
}

/** Serves streams that do not end. `later` is how many streams a session allows after the check before the run. */
async function serveHeld(options: Parameters<typeof listenHttp2>[1] = {}, later?: number) {
  const responses = new Responses()
  const concurrency = new Concurrency()
  const server = await listenHttp2((request, response) => {
    response.on('error', () => {})
    openStream(response)
    if (!responses.add(request, response)) {
      if (later !== undefined) server.server.updateSettings({ maxConcurrentStreams: later })
      return
    }
    concurrency.add(response)
    response.write(`id: ${request.headers['last-event-id'] ?? 'a'}\ndata: x\n\n`)
  }, options)
  return { ...server, responses, concurrency }
}

describe('streams over HTTP/2', () => {
  test('have a session each if the server chooses it in the TLS handshake', async () => {
    const { url, responses, concurrency } = await serveHeld({ allowHTTP1: true })
    const load = startLoad(url, '--streams', '5', '--insecure')
    await responses.count(5)
    load.interrupt()
    const { protocols, connections } = await load.report()
    expect(protocols).toEqual(['HTTP/2'])
    expect(connections).toMatchObject({ errors: 0, sessions: { opened: 5, openAtEnd: 5 } })
    expect(concurrency.most).toBe(1)
  })

  test('share sessions of --streams-per-session', async () => {
    const { url, responses, concurrency } = await serveHeld()
    const load = startShared(url, 10, 4)
    await responses.count(10)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections).toMatchObject({ errors: 0, sessions: { opened: 3, openAtEnd: 3 } })
    expect({ most: concurrency.most, sessions: concurrency.sessions.size }).toEqual({ most: 4, sessions: 3 })
  })

  test('open a further session when the server allows no more on one', async () => {
    const { url, responses, concurrency } = await serveHeld({ settings: { maxConcurrentStreams: 10 } })
    const load = startShared(url, 25, 100)
    await responses.count(25)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections).toMatchObject({ errors: 0, reconnects: 0, sessions: { opened: 3, openAtEnd: 3 } })
    expect(concurrency.most).toBe(10)
  })

  test('open a further session when a session allows fewer than those before', async () => {
    const { url, responses, concurrency } = await serveHeld({ settings: { maxConcurrentStreams: 100 } }, 10)
    // All streams wait for the first session. Those that it has no room for would be refused several times otherwise.
    const load = startShared(url, 45, 100, '--rate', '10000/s')
    await responses.count(45)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections).toMatchObject({ errors: 0, reconnects: 0, sessions: { opened: 5 } })
    expect(concurrency.most).toBe(10)
  })

  test('use HTTP/2 without TLS if that is known', async () => {
    const { url, responses } = await serveHeld({ isPlain: true })
    const load = startShared(url, 4, 2, '--http', '2')
    await responses.count(4)
    load.interrupt()
    const { protocols, connections } = await load.report()
    expect({ protocols, sessions: connections.sessions }).toEqual({
      protocols: ['HTTP/2'],
      sessions: { opened: 2, openAtEnd: 2 },
    })
  })
})

describe('faults of a server over HTTP/2', () => {
  test('are counted exactly as over HTTP/1.1', async () => {
    const script = {
      '': events(1, 2, 3, 5, 6, 6, 6, 8, 7, 'gap', 12, 13, 16, 'a'),
      a: events(17, 'é'),
    }
    const server = await serveScript(script, async (listener) => (await listenHttp2(listener)).url)
    const load = startShared(server.url, 20, 5, '--sequence-field', 'n')
    await server.held(20)
    load.interrupt()
    const { sequence, events: received, connections, resumes } = await load.report()
    expect({ sequence, gaps: received.gaps, received: received.received }).toEqual({
      sequence: { lost: 60, lostInGaps: 60, duplicates: 40, outOfOrder: 20 },
      gaps: 20,
      received: 280,
    })
    expect(resumes).toMatchObject({ exact: 20 })
    // The sessions are kept for the reconnections.
    expect(connections).toMatchObject({ ends: 40, reconnects: 40, errors: 0, sessions: { opened: 4 } })
  })

  test('GOAWAY lets streams end in order, and they reconnect on another session', async () => {
    const { url, responses } = await serveHeld()
    const load = startShared(url, 6, 3, '--sequence-field', '@id')
    const first = (await responses.count(6)).slice()
    const sessions = new Set(first.map(sessionOf))
    for (const session of sessions) session.goaway(constants.NGHTTP2_NO_ERROR)
    for (const response of first) response.end()
    const later = (await responses.count(12)).slice(6).map(sessionOf)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections).toMatchObject({
      ...{ ends: 6, reconnects: 6, reconnectsWithoutId: 0, errors: 0 },
      // The client closes a session after its last stream.
      sessions: { opened: 4, openAtEnd: 2 },
    })
    expect(later.filter((session) => sessions.has(session))).toEqual([])
    expect(responses.requests.slice(6).map(({ headers }) => headers['last-event-id'])).toEqual(
      Array(6).fill('a'),
    )
  })

  test('GOAWAY with an error ends all streams of a session, which reconnect', async () => {
    const { url, responses } = await serveHeld()
    const load = startShared(url, 6, 3)
    const [response] = await responses.count(6)
    if (response) sessionOf(response).goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    await responses.count(9)
    load.interrupt()
    expect((await load.report()).connections).toMatchObject({
      errorsByCause: { 'GOAWAY ENHANCE_YOUR_CALM': 3 },
      ...{ ends: 0, reconnects: 3, sessions: { opened: 3 } },
    })
  })

  test('a connection that is cut cuts all streams of its session', async () => {
    const { url, responses, cut } = await serveHeld()
    const load = startShared(url, 6, 3)
    const [response] = await responses.count(6)
    if (response) cut(response)
    await responses.count(9)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections).toMatchObject({ errors: 3, ends: 0, reconnects: 3, sessions: { opened: 3 } })
    // The second one is that of a stream without response headers.
    const causes = Object.keys(connections.errorsByCause)
    expect(causes.filter((cause) => cause !== 'cut' && cause !== 'ECONNRESET')).toEqual([])
  })

  test('RST_STREAM ends one stream, and no other one of its session', async () => {
    const { url, responses, concurrency } = await serveHeld()
    const load = startShared(url, 6, 3)
    const [response] = await responses.count(6)
    if (response) streamOf(response).destroy(new Error('reset'))
    await responses.count(7)
    load.interrupt()
    expect((await load.report()).connections).toMatchObject({
      errorsByCause: { 'RST_STREAM INTERNAL_ERROR': 1 },
      ...{ ends: 0, reconnects: 1, sessions: { opened: 2, openAtEnd: 2 } },
    })
    expect(concurrency.sessions.size).toBe(2)
  })

  test('REFUSED_STREAM is no error, because the request is sent again on another session', async () => {
    const responses = new Responses()
    const { url } = await listenHttp2((request, response) => {
      // The second one of each session, as if the server had a limit that it has not sent.
      if (!responses.add(request, response)) return openStream(response)
      const { id = 0 } = streamOf(response)
      if (id > 1) streamOf(response).close(constants.NGHTTP2_REFUSED_STREAM)
      else openStream(response)
    })
    const load = startOnce(url, 3, 3)
    await load.progress(/3 of 3 open/)
    load.interrupt()
    const { connections, streams } = await load.report()
    expect(connections).toMatchObject({ errors: 0, reconnects: 0, sessions: { opened: 3 } })
    expect(streams.opened).toBe(3)
  })

  test('REFUSED_STREAM is an error if the request was refused three times', async () => {
    const responses = new Responses()
    const { url } = await listenHttp2((request, response) => {
      if (responses.add(request, response)) streamOf(response).close(constants.NGHTTP2_REFUSED_STREAM)
      else openStream(response)
    })
    const load = startOnce(url, 2, 2)
    await load.progress(/errors 2/)
    load.interrupt()
    const { connections } = await load.report()
    expect(connections.errorsByCause).toEqual({ 'RST_STREAM REFUSED_STREAM': 2 })
    expect(responses.all).toHaveLength(6)
  })
})

describe('a stream over HTTP/2', () => {
  test('sends the headers of EventSource and of the user, and its last id in UTF-8', async () => {
    const server = await serveScript(
      { '': 'retry: 1\nid: é\ndata: x\n\n' },
      async (listener) => (await listenHttp2(listener)).url,
    )
    const load = startShared(
      server.url,
      2,
      2,
      '--header',
      'Authorization: Bearer t',
      '--header',
      'Host: a.example',
    )
    await server.held(2)
    load.interrupt()
    await load.report()
    const headers = server.requests.map((request) => request.headers)
    expect(headers.filter((each) => 'last-event-id' in each)).toMatchObject(
      [1, 2].map(() => ({
        authorization: 'Bearer t',
        accept: 'text/event-stream',
        'cache-control': 'no-cache',
        ':authority': 'a.example',
        'last-event-id': 'Ã©',
      })),
    )
  })

  test('that reads slowly does not stop the others', async () => {
    // More than the window of a stream and the buffers of both sides.
    const padding = 'x'.repeat(1e5)
    const responses = new Responses()
    let held = 0
    const { url } = await listenHttp2((request, response) => {
      openStream(response)
      if (!responses.add(request, response)) return
      if (request.headers['last-event-id'] === '20') {
        // A stream that reconnects has received everything.
        if (++held === 6) load.interrupt()
        return
      }
      let sent = 0
      const write = () => {
        while (sent < 20) {
          sent += 1
          if (!response.write(`id: ${sent}\ndata: ${padding}\n\n`)) return
        }
        response.end()
      }
      response.on('drain', write)
      write()
    })
    const load = startShared(url, 8, 8, '--slow', '25%', '--slow-rate', '1kB/s')
    const { connections } = await load.report()
    expect(held).toBe(6)
    expect(connections).toMatchObject({ errors: 0, ends: 6, sessions: { opened: 2 } })
  })

  test('is cut at random moments and resumes, with a session of its own or a shared one', async () => {
    for (const perSession of [1, 3]) {
      let resumed = 0
      const { url } = await listenHttp2((request, response) => {
        response.on('error', () => {})
        openStream(response)
        const last = Number(request.headers['last-event-id'] ?? 0)
        response.write(`id: ${last + 1}\ndata: x\n\n`)
        if (last > 0 && ++resumed === 30) load.interrupt()
      })
      const numbers = ['--sequence-field', '@id', '--own-sequence']
      const load = startShared(url, 6, perSession, '--churn', '100/s', ...numbers)
      const { connections, resumes, sequence } = await load.report()
      expect(connections.cuts).toBeGreaterThanOrEqual(30)
      expect(connections.errorsByCause).toEqual({})
      expect(resumes).toMatchObject({ repeated: 0, silent: 0, reported: 0 })
      expect(sequence).toMatchObject({ lost: 0, duplicates: 0 })
    }
  })

  test('ends permanently at a status, and leaves the others of its session open', async () => {
    const responses = new Responses()
    const { url } = await listenHttp2((request, response) => {
      if (!responses.add(request, response)) return openStream(response)
      const count = responses.all.length
      if (count === 2) response.writeHead(204).end()
      else if (count === 4) response.writeHead(503).end('no')
      else openStream(response)
    })
    const load = startShared(url, 5, 5)
    await load.progress(/3 of 5 open/)
    load.interrupt()
    const { connections, streams } = await load.report()
    expect(connections).toMatchObject({
      ...{ errorsByCause: { 503: 1 }, noContent: 1, reconnects: 0 },
      sessions: { opened: 1, openAtEnd: 1 },
    })
    expect(streams).toMatchObject({ failed: 1, openAtEnd: 3 })
  })
})
