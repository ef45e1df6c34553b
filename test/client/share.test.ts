import { afterEach, describe, expect, test, vi } from 'vitest'
import type { EngineListener } from '../../src/client/engine.ts'
import { shareEngine } from '../../src/client/share.ts'
import { Browser, type FakeEngine, type Tab } from '../support/tabs.ts'

afterEach(() => {
  vi.useRealTimers()
})

async function openTabs(count: number, browser = new Browser()): Promise<{ browser: Browser; tabs: Tab[] }> {
  const tabs: Tab[] = []
  for (let index = 0; index < count; index++) {
    tabs.push(browser.open())
    await browser.advance(100)
  }
  return { browser, tabs }
}

/** Publishes events, and waits for each. */
async function publish(browser: Browser, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    browser.publish()
    await browser.advance(50)
  }
}

describe('shareEngine', () => {
  test('opens one connection for twenty tabs, each of which receives every event once', async () => {
    const { browser, tabs } = await openTabs(20)
    await publish(browser, 3)
    expect(browser.engines).toHaveLength(1)
    expect(tabs.map(({ ids }) => ids)).toEqual(tabs.map(() => [1, 2, 3]))
    expect(tabs.map(({ opens }) => opens.length)).toEqual(tabs.map(() => 1))
  })

  test('opens a connection for each key', async () => {
    const browser = new Browser()
    browser.open({ key: 'ann' })
    browser.open({ key: 'bob' })
    await browser.advance(100)
    expect(browser.connections).toHaveLength(2)
  })

  test('ends the connection when the last tab is closed', async () => {
    const { browser, tabs } = await openTabs(3)
    for (const tab of tabs) {
      expect(browser.connections).toHaveLength(1)
      tab.close()
      await browser.advance(100)
    }
    expect(browser.connections).toEqual([])
    expect(browser.locks.holder()).toBeUndefined()
    expect(tabs.map(({ channels }) => channels.size)).toEqual([0, 0, 0])
  })

  test('reports nothing to a listener that closes the engine when it opens', async () => {
    const { browser } = await openTabs(1)
    await publish(browser, 1)
    const tab = browser.open({ lastEventId: '0', closesAfter: 0 })
    const [leader] = browser.engines as [FakeEngine]
    leader.tab.enter(() => leader.listener.onError(new Error('lost'), false))
    await browser.advance(100)
    expect([tab.opens.length, tab.errors, tab.ids, tab.engine.lastEventId]).toEqual([1, [], [], '0'])
  })

  test('starts an engine for each tab where Web Locks or BroadcastChannel do not exist', () => {
    const engine = { close() {}, lastEventId: '' }
    const listener = {} as EngineListener
    for (const navigator of [undefined, {}, { locks: {} }]) {
      vi.stubGlobal('navigator', navigator)
      vi.stubGlobal('BroadcastChannel', navigator?.locks ? undefined : class {})
      const start = vi.fn(() => engine)
      expect(shareEngine('key', start)(listener, '7')).toBe(engine)
      expect(start).toHaveBeenCalledWith(listener, '7')
    }
    vi.unstubAllGlobals()
  })

  test('keeps one connection where the page may not use locks', async () => {
    const browser = new Browser()
    vi.spyOn(browser.locks, 'request').mockImplementation((_name, _options, { reject }) =>
      reject(Object.assign(new Error(), { name: 'SecurityError' })),
    )
    const { tabs } = await openTabs(2, browser)
    await browser.advance(20_000)
    await publish(browser, 2)
    expect(browser.connections).toHaveLength(1)
    browser.connections[0]?.tab.kill()
    await browser.advance(20_000)
    await publish(browser, 2)
    expect(browser.connections).toHaveLength(1)
    expect(tabs.map(({ ids }) => ids.length).sort()).toEqual([2, 4])
  })

  test.each([
    ['leads', 0],
    ['follows', 1],
  ])('ends in the tab that %s, and only there, while more than 10 000 events wait', async (_name, index) => {
    const { browser, tabs } = await openTabs(3)
    const tab = tabs[index] as Tab
    tab.enter(() => tab.engine.setBacklog?.(10_000))
    await publish(browser, 1)
    expect(tab.errors).toEqual([])
    tab.enter(() => tab.engine.setBacklog?.(10_001))
    await browser.advance(100)
    await publish(browser, 2)
    expect(tab.errors).toEqual([
      { error: expect.objectContaining({ code: 'ERR_SSE_OVERFLOW', isFinal: true }), isFinal: true },
    ])
    expect(tabs.map(({ ids }) => ids)).toEqual(tabs.map((each) => (each === tab ? [1] : [1, 2, 3])))
    expect(tabs.map(({ errors }) => errors.length)).toEqual(tabs.map((each) => (each === tab ? 1 : 0)))
    expect(browser.connections).toHaveLength(1)
  })

  describe('when the leader is lost', () => {
    const LOSSES: Record<string, (tab: Tab) => void> = {
      'is closed': (tab) => tab.close(),
      'is killed': (tab) => tab.kill(),
      'is frozen': (tab) => tab.dispatch('freeze'),
      'is put into the back/forward cache': (tab) => tab.dispatch('pagehide', 'freeze'),
    }
    for (const [name, lose] of Object.entries(LOSSES)) {
      test(`continues in another tab when the leader ${name}, without a check`, async () => {
        const { browser, tabs } = await openTabs(3)
        await publish(browser, 2)
        lose(tabs[0] as Tab)
        browser.publish()
        await browser.advance(100)
        await publish(browser, 1)
        expect(browser.connections).toHaveLength(1)
        expect(tabs.slice(1).map(({ ids }) => ids)).toEqual([
          [1, 2, 3, 4],
          [1, 2, 3, 4],
        ])
      })
    }

    test('replaces a leader that does not respond, and stops it when it continues', async () => {
      const { browser, tabs } = await openTabs(3)
      const [leader] = tabs as [Tab]
      await publish(browser, 2)
      leader.block()
      await publish(browser, 3)
      await browser.advance(10_000)
      expect(tabs.map(({ ids }) => ids.length)).toEqual([2, 5, 5])
      leader.unblock()
      await browser.advance(100)
      await publish(browser, 1)
      expect(tabs.map(({ ids }) => ids)).toEqual(tabs.map(() => [1, 2, 3, 4, 5, 6]))
      expect(browser.connections).toHaveLength(1)
      expect(browser.connections[0]?.tab).not.toBe(leader)
    })

    test('delivers the missed events to a suspended tab when it continues', async () => {
      const { browser, tabs } = await openTabs(2)
      await publish(browser, 1)
      tabs[0]?.dispatch('pagehide', 'freeze')
      await publish(browser, 2)
      tabs[0]?.dispatch('resume', 'pageshow')
      await browser.advance(100)
      await publish(browser, 1)
      expect(tabs.map(({ ids }) => ids)).toEqual([
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ])
      expect(browser.engines).toHaveLength(2)
    })

    test('requests no lock for a tab that is suspended', async () => {
      const { browser, tabs } = await openTabs(3)
      tabs[1]?.dispatch('freeze')
      tabs[0]?.kill()
      await browser.advance(100)
      expect(browser.locks.holder()).toBe(tabs[2])
    })

    test('keeps a leader that responds while no event arrives', async () => {
      const { browser, tabs } = await openTabs(5)
      await browser.advance(600_000)
      expect(browser.engines).toHaveLength(1)
      expect(browser.locks.holder()).toBe(tabs[0])
    })

    test('keeps a leader while the timers of its followers fire once a minute', async () => {
      const { browser, tabs } = await openTabs(3)
      for (const tab of tabs) tab.throttle = 60
      await browser.advance(3_600_000)
      expect(browser.engines).toHaveLength(1)
    })

    test('keeps the leader when a follower was blocked and then continues', async () => {
      const { browser, tabs } = await openTabs(2)
      for (let round = 0; round < 20; round++) {
        tabs[1]?.block()
        await browser.advance(20_000)
        tabs[1]?.unblock()
        await browser.advance(500 + 100 * round)
      }
      expect(browser.engines).toHaveLength(1)
    })

    test('resumes after a position that arrived without an event', async () => {
      const { browser, tabs } = await openTabs(2)
      browser.log.push({ event: 'filtered', id: '1', data: '' }, { event: 'filtered', id: '2', data: '' })
      browser.connections[0]?.sendPosition()
      await browser.advance(100)
      tabs[0]?.kill()
      await publish(browser, 1)
      expect(tabs[1]?.ids).toEqual([3])
    })

    test('delivers to a tab that was ahead of the new leader no event twice', async () => {
      const { browser, tabs } = await openTabs(3)
      await publish(browser, 2)
      // The last message is lost on the way to the next leader.
      tabs[1]?.block()
      browser.publish()
      await browser.advance(10)
      browser.drop(tabs[1] as Tab)
      tabs[0]?.kill()
      tabs[1]?.unblock()
      await publish(browser, 2)
      expect(browser.locks.holder()).toBe(tabs[1])
      expect(tabs.map(({ ids }) => ids)).toEqual([
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4, 5],
      ])
      expect(browser.engines).toHaveLength(2)
    })

    test('delivers the missed events to a tab that was behind the new leader, without a separate connection', async () => {
      const { browser, tabs } = await openTabs(3)
      await publish(browser, 1)
      tabs[2]?.block()
      await publish(browser, 2)
      browser.drop(tabs[2] as Tab)
      tabs[0]?.kill()
      tabs[2]?.unblock()
      await browser.advance(100)
      expect(tabs[2]?.ids).toEqual([1, 2, 3])
      await publish(browser, 1)
      expect(tabs[2]?.ids).toEqual([1, 2, 3, 4])
      expect(browser.engines).toHaveLength(2)
    })

    test('repeats for a suspended leader the events that another tab without a position could not resume', async () => {
      const browser = new Browser()
      const [leader, other] = [browser.open(), browser.open()]
      await browser.advance(2)
      expect([leader.engine.lastEventId, other.engine.lastEventId]).toEqual(['0', ''])
      browser.drop(other)
      leader.dispatch('freeze')
      browser.publish()
      await browser.advance(10_000)
      leader.dispatch('resume')
      await browser.advance(10_000)
      await publish(browser, 1)
      expect(leader.ids).toEqual([1, 2])
      expect(browser.connections).toHaveLength(1)
    })

    test('delivers events without an id of their own after the leader has changed', async () => {
      const { browser, tabs } = await openTabs(3)
      await publish(browser, 1)
      tabs[0]?.kill()
      await browser.advance(100)
      browser.connections[0]?.sendUnlogged('typing')
      browser.connections[0]?.sendUnlogged('typing')
      await browser.advance(100)
      expect(tabs.slice(1).map(({ received }) => received.map(({ data }) => data))).toEqual([
        ['', 'typing', 'typing'],
        ['', 'typing', 'typing'],
      ])
    })
  })

  describe('in a tab that is opened later', () => {
    test('delivers only later events, and reports the open connection', async () => {
      const { browser } = await openTabs(2)
      await publish(browser, 3)
      const late = browser.open()
      await browser.advance(100)
      expect(late.opens).toEqual([{ transport: 'event-stream', reason: undefined }])
      await publish(browser, 2)
      expect(late.ids).toEqual([4, 5])
      expect(late.opens).toHaveLength(1)
    })

    test('has the id of an event when it reports that bytes arrived', async () => {
      const { browser, tabs } = await openTabs(2)
      const late = browser.open({ lastEventId: '0' })
      await publish(browser, 2)
      for (const tab of [...tabs, late]) expect(tab.aliveIds.at(-1)).toBe('2')
    })

    test('delivers the events after its last event id from the leader', async () => {
      const { browser } = await openTabs(2)
      await publish(browser, 5)
      const late = browser.open({ lastEventId: '2' })
      await browser.advance(100)
      expect(late.ids).toEqual([3, 4, 5])
      await publish(browser, 1)
      expect(late.ids).toEqual([3, 4, 5, 6])
      expect(browser.engines).toHaveLength(1)
    })

    test('delivers nothing after the application has closed it during an event', async () => {
      const { browser } = await openTabs(2)
      await publish(browser, 5)
      const late = browser.open({ lastEventId: '1', closesAfter: 2 })
      await browser.advance(100)
      expect(late.ids).toEqual([2, 3])
    })

    test('uses a separate connection for events that the leader has evicted', async () => {
      const { browser } = await openTabs(2)
      for (let count = 0; count < 10; count++) browser.publish('x'.repeat(60_000))
      await browser.advance(100)
      const late = browser.open({ lastEventId: '2' })
      await browser.advance(3_000)
      await publish(browser, 2)
      expect(late.ids).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
      expect(browser.engines).toHaveLength(2)
      expect(browser.connections).toHaveLength(1)
    })

    test('continues after its own last event when it is suspended while it catches up', async () => {
      const { browser } = await openTabs(1)
      for (let count = 0; count < 10; count++) browser.publish('x'.repeat(60_000))
      await browser.advance(100)
      const late = browser.open({ lastEventId: '2' })
      for (let ms = 0; browser.engines.length < 2 && ms < 3_000; ms++) await browser.advance(1)
      late.dispatch('freeze')
      await publish(browser, 1)
      late.dispatch('resume')
      await browser.advance(3_000)
      await publish(browser, 1)
      expect(late.ids).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    })

    test('stays open, also for later tabs, when it leads and a connection of its own was lost', async () => {
      const { browser, tabs } = await openTabs(1)
      for (let count = 0; count < 10; count++) browser.publish('x'.repeat(60_000))
      await browser.advance(100)
      const late = browser.open({ lastEventId: '2' })
      for (let ms = 0; browser.engines.length < 2 && ms < 3_000; ms++) await browser.advance(1)
      const own = browser.engines[1] as FakeEngine
      // The events of its own connection are delayed, so that it is still catching up when it becomes the leader.
      own.stall()
      tabs[0]?.close()
      await browser.advance(100)
      expect([browser.locks.holder(), own.isClosed]).toEqual([late, false])
      late.enter(() => own.listener.onError(new Error('reset'), false))
      const later = browser.open()
      await browser.advance(3_000)
      expect([late.errors, later.opens.length]).toEqual([[], 1])
      late.enter(() => own.listener.onError(new Error('gone'), true))
      expect(late.errors).toEqual([{ error: new Error('gone'), isFinal: true }])
    })

    test('keeps the leader and its connection when the tab with a connection of its own is closed', async () => {
      const { browser, tabs } = await openTabs(1)
      for (let count = 0; count < 10; count++) browser.publish('x'.repeat(60_000))
      await browser.advance(100)
      const late = browser.open({ lastEventId: '2' })
      await browser.advance(1_600)
      late.close()
      expect(browser.connections.map(({ tab }) => tab)).toEqual(tabs)
    })
  })

  describe('reports to all tabs', () => {
    const ERROR = {
      name: 'Error',
      message: 'Too Many Requests',
      code: 'ERR_SSE_STATUS',
      status: 429,
      body: 'later',
      retryAfter: 5_000,
      isFinal: false,
    }
    const error = Object.assign(new Error(ERROR.message), ERROR, { request: () => {} })

    test('a change of the transport', async () => {
      const { browser, tabs } = await openTabs(3)
      const change = { transport: 'json', reason: 'bursts' } as const
      browser.engines[0]?.listener.onOpen(change)
      await browser.advance(100)
      expect(tabs.map(({ opens }) => opens.slice(1))).toEqual([[change], [change], [change]])
    })

    test('an error with its properties, and the next open connection', async () => {
      const { browser, tabs } = await openTabs(3)
      browser.engines[0]?.listener.onError(error, false)
      await browser.advance(100)
      const late = browser.open()
      await browser.advance(100)
      browser.engines[0]?.listener.onOpen({ transport: 'event-stream', reason: undefined })
      await browser.advance(100)
      for (const { errors, opens } of tabs) {
        expect(errors).toEqual([{ error: expect.any(Error), isFinal: false }])
        expect(errors[0]?.error).toMatchObject(ERROR)
        expect(opens).toHaveLength(2)
      }
      expect([late.opens.length, late.errors.length]).toEqual([1, 0])
    })

    test('the loss of a connection without an error', async () => {
      const { browser, tabs } = await openTabs(2)
      browser.engines[0]?.listener.onError(undefined, false)
      await browser.advance(100)
      const loss = { error: undefined, isFinal: false }
      expect(tabs.map(({ errors }) => errors)).toEqual([[loss], [loss]])
    })

    test('a thrown text as an error', async () => {
      const { browser, tabs } = await openTabs(2)
      browser.engines[0]?.listener.onError('text', false)
      await browser.advance(100)
      expect(tabs.map(({ errors }) => errors.length)).toEqual([1, 1])
      expect(tabs[1]?.errors[0]?.error).toBeInstanceOf(Error)
    })

    test('a thrown response, whose body no channel can clone', async () => {
      const { browser, tabs } = await openTabs(2)
      const response = new Response('No session', { status: 401 })
      browser.engines[0]?.listener.onError(response, false)
      await browser.advance(100)
      expect(tabs.map(({ errors }) => errors.length)).toEqual([1, 1])
      expect(tabs[0]?.errors[0]?.error).toBe(response)
      expect(tabs[1]?.errors[0]?.error).toMatchObject({ status: 401 })
    })

    test.each([
      ['a final error', (listener: EngineListener) => listener.onError(error, true)],
      ['the end', (listener: EngineListener) => listener.onError(undefined, true)],
    ])('%s, after which nothing follows', async (_name, end) => {
      const { browser, tabs } = await openTabs(3)
      tabs[0]?.enter(() => end((browser.engines[0] as FakeEngine).listener))
      await browser.advance(20_000)
      for (const tab of tabs) tab.dispatch('resume', 'pageshow')
      await publish(browser, 2)
      expect(tabs.map(({ ends, errors }) => ends + errors.length)).toEqual([1, 1, 1])
      expect(tabs.map(({ ids, channels }) => [ids, channels.size])).toEqual(tabs.map(() => [[], 0]))
      expect(browser.connections).toEqual([])
    })
  })
})
