import { vi } from 'vitest'
import type { Engine, EngineListener, ReceivedEvent, TransportChange } from '../../src/client/engine.ts'
import { shareEngine } from '../../src/client/share.ts'

type State = 'running' | 'blocked' | 'killed'

interface Task {
  readonly time: number
  readonly order: number
  readonly tab: Tab
  readonly run: () => void
}

interface LockRequest {
  readonly tab: Tab
  readonly callback: () => Promise<void>
  readonly reject: (error: Error) => void
}

interface TabOptions {
  readonly lastEventId?: string
  readonly key?: string
  /** The number of events after which the application closes the engine. 0: when it opens. */
  readonly closesAfter?: number
}

/** A browser with a clock, a network and a server whose log has an id for each event. All of them are fake. */
export class Browser {
  /** The events of the server, from id 1 on. */
  readonly log: ReceivedEvent[] = []
  readonly tabs: Tab[] = []
  readonly engines: FakeEngine[] = []
  readonly locks: Locks
  /** Returns the time in ms that a message or an event takes. */
  readonly latency: () => number
  now = 1_800_000_000_000
  /** The first position of the log that a client can still receive. */
  oldest = 0
  #tasks: Task[] = []
  #order = 0

  constructor(latency: () => number = () => 1) {
    this.latency = latency
    this.locks = new Locks()
    vi.useFakeTimers({ toFake: ['Date'], now: this.now })
  }

  open(options: TabOptions = {}): Tab {
    const tab = new Tab(this, options)
    this.tabs.push(tab)
    tab.enter(() => tab.share())
    return tab
  }

  /** Appends an event to the log of the server, and sends it to the connections. */
  publish(data = ''): void {
    this.log.push({ event: 'message', id: `${this.log.length + 1}`, data })
    for (const engine of this.connections) engine.send()
  }

  get connections(): readonly FakeEngine[] {
    return this.engines.filter(({ isClosed, tab }) => !isClosed && tab.state !== 'killed')
  }

  schedule(tab: Tab, delay: number, run: () => void): Task {
    const task = { time: this.now + delay, order: ++this.#order, tab, run }
    this.#tasks.push(task)
    return task
  }

  cancel(task: unknown): void {
    this.#tasks = this.#tasks.filter((each) => each !== task)
  }

  /** Drops the tasks of a tab, for example messages that have not arrived. */
  drop(tab: Tab): void {
    this.#tasks = this.#tasks.filter((task) => task.tab !== tab)
  }

  /** Runs all tasks of the next `ms`. The tasks of a blocked tab wait. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms
    await settle()
    for (let task = this.#next(end); task; task = this.#next(end)) {
      this.cancel(task)
      this.#setTime(Math.max(task.time, this.now))
      task.tab.enter(task.run)
      await settle()
    }
    this.#setTime(end)
  }

  #next(end: number): Task | undefined {
    let next: Task | undefined
    for (const task of this.#tasks) {
      if (task.tab.state !== 'running' || task.time > end) continue
      if (!next || task.time < next.time || (task.time === next.time && task.order < next.order)) next = task
    }
    return next
  }

  #setTime(now: number): void {
    this.now = now
    vi.setSystemTime(now)
  }
}

/** Resolves when the promises of the tabs have settled. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await null
}

/** A page that shares its connection with other tabs, and the ids that it has received. */
export class Tab {
  readonly browser: Browser
  readonly options: TabOptions
  readonly received: ReceivedEvent[] = []
  readonly opens: TransportChange[] = []
  readonly errors: { readonly error: unknown; readonly isFinal: boolean }[] = []
  /** The last event id whenever bytes have arrived. */
  readonly aliveIds: string[] = []
  readonly channels = new Set<FakeChannel>()
  state: State = 'running'
  /** The factor by which the timers of a hidden page are slower. */
  throttle = 1
  ends = 0
  isClosed = false
  engine!: Engine
  #lifecycle = new Map<string, Set<(event: { type: string }) => void>>()

  constructor(browser: Browser, options: TabOptions) {
    this.browser = browser
    this.options = options
  }

  get ids(): number[] {
    return this.received.map(({ id }) => Number(id))
  }

  share(): void {
    const listener: EngineListener = {
      onOpen: (change) => {
        this.opens.push(change)
        if (this.options.closesAfter === 0) this.engine.close()
      },
      onEvent: (event) => {
        this.received.push(event)
        if (this.received.length === this.options.closesAfter) this.engine.close()
      },
      onError: (error, isFinal) => {
        if (isFinal && error === undefined) this.ends++
        else this.errors.push({ error, isFinal })
      },
      onAlive: () => void this.aliveIds.push(this.engine.lastEventId),
    }
    const start = (to: EngineListener, id: string) => new FakeEngine(this, to, id)
    this.engine = shareEngine(this.options.key ?? 'key', start)(listener, this.options.lastEventId ?? '')
  }

  /** Runs code with the globals of this page. */
  enter<T>(run: () => T): T {
    const tab = this
    const globals = {
      navigator: { locks: { request: this.#requestLock } },
      BroadcastChannel: class extends FakeChannel {
        constructor(name: string) {
          super(tab, name)
        }
      },
      addEventListener: (type: string, listener: () => void, { signal }: { signal: AbortSignal }) => {
        this.#listeners(type).add(listener)
        signal.addEventListener('abort', () => this.#listeners(type).delete(listener))
      },
      setTimeout: (callback: () => void, ms: number) =>
        this.browser.schedule(this, ms * this.throttle, callback),
      clearTimeout: (task: unknown) => this.browser.cancel(task),
    }
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value)
    try {
      return run()
    } finally {
      vi.unstubAllGlobals()
    }
  }

  dispatch(...types: readonly string[]): void {
    for (const type of types)
      for (const listener of [...this.#listeners(type)]) this.enter(() => listener({ type }))
  }

  close(): void {
    this.isClosed = true
    this.enter(() => this.engine.close())
  }

  /** Ends the process of the page without any event. */
  kill(): void {
    this.state = 'killed'
    for (const channel of this.channels) channel.close()
    this.browser.locks.releaseAll(this)
  }

  /** Stops the page without any event, for example by a loop that does not end. */
  block(): void {
    this.state = 'blocked'
  }

  unblock(): void {
    this.state = 'running'
  }

  readonly #requestLock = (
    name: string,
    options: { signal?: AbortSignal; steal?: true },
    callback: () => Promise<void>,
  ) => {
    let onRejected: ((error: Error) => void) | undefined
    const reject = (error: Error) => this.browser.schedule(this, 0, () => onRejected?.(error))
    this.browser.locks.request(name, options, { tab: this, callback, reject })
    // A promise would call the handler outside of this page.
    return {
      catch(handler: (error: Error) => void) {
        onRejected = handler
      },
    }
  }

  #listeners(type: string): Set<(event: { type: string }) => void> {
    const listeners = this.#lifecycle.get(type) ?? new Set()
    this.#lifecycle.set(type, listeners)
    return listeners
  }
}

/** The locks of a browser. */
class Locks {
  readonly #held = new Map<string, LockRequest>()
  #pending: (LockRequest & { readonly name: string })[] = []

  request(name: string, options: { signal?: AbortSignal; steal?: true }, request: LockRequest): void {
    const held = this.#held.get(name)
    if (options.steal) {
      if (held) held.reject(abortError())
      this.#grant(name, request)
      return
    }
    this.#pending.push({ ...request, name })
    options.signal?.addEventListener('abort', () => {
      const before = this.#pending.length
      this.#pending = this.#pending.filter(({ callback }) => callback !== request.callback)
      if (this.#pending.length < before) request.reject(abortError())
    })
    if (!held) this.#grantNext(name)
  }

  holder(name = 'spillway:1:key'): Tab | undefined {
    return this.#held.get(name)?.tab
  }

  releaseAll(tab: Tab): void {
    this.#pending = this.#pending.filter((request) => request.tab !== tab)
    for (const [name, request] of this.#held) if (request.tab === tab) this.#release(name, request)
  }

  #grant(name: string, request: LockRequest): void {
    const { browser } = request.tab
    this.#held.set(name, request)
    browser.schedule(request.tab, browser.latency(), () => {
      if (this.#held.get(name) !== request) return
      request.callback().then(
        () => this.#release(name, request),
        (error) => {
          this.#release(name, request)
          request.reject(error)
        },
      )
    })
  }

  #grantNext(name: string): void {
    const next = this.#pending.find((request) => request.name === name)
    this.#pending = this.#pending.filter((request) => request !== next)
    if (next) this.#grant(name, next)
  }

  #release(name: string, request: LockRequest): void {
    if (this.#held.get(name) !== request) return
    this.#held.delete(name)
    this.#grantNext(name)
  }
}

function abortError(): Error {
  return Object.assign(new Error('aborted'), { name: 'AbortError' })
}

/** A channel whose messages arrive in the order of their sender, each receiver at its own time. */
class FakeChannel {
  onmessage: ((message: { data: unknown }) => void) | undefined
  readonly #tab: Tab
  readonly #name: string
  readonly #arrivals = new Map<FakeChannel, number>()

  constructor(tab: Tab, name: string) {
    this.#tab = tab
    this.#name = name
    tab.channels.add(this)
  }

  postMessage(message: unknown): void {
    if (!this.#tab.channels.has(this)) throw new Error('The channel is closed.')
    for (const { channels } of this.#tab.browser.tabs)
      for (const channel of channels)
        if (channel !== this && channel.#name === this.#name) this.#send(channel, structuredClone(message))
  }

  close(): void {
    this.#tab.channels.delete(this)
  }

  #send(channel: FakeChannel, data: unknown): void {
    const { browser } = this.#tab
    const time = Math.max(browser.now + browser.latency(), this.#arrivals.get(channel) ?? 0)
    this.#arrivals.set(channel, time)
    browser.schedule(channel.#tab, time - browser.now, () => {
      if (channel.#tab.channels.has(channel)) channel.onmessage?.({ data })
    })
  }
}

/** A connection to the server of the browser. */
export class FakeEngine implements Engine {
  readonly tab: Tab
  readonly listener: EngineListener
  lastEventId: string
  isClosed = false
  #sent: number
  #arrival = 0
  #isStalled = false

  constructor(tab: Tab, listener: EngineListener, lastEventId: string) {
    this.tab = tab
    this.listener = listener
    this.lastEventId = lastEventId
    const { browser } = tab
    browser.engines.push(this)
    this.#sent = Math.max(browser.oldest, lastEventId === '' ? browser.log.length : Number(lastEventId))
    const position = `${this.#sent}`
    this.#deliver(() => {
      listener.onOpen({ transport: 'event-stream', reason: undefined })
      this.lastEventId = position
      listener.onAlive()
    })
    this.send()
  }

  /** Sends an event that is not in the log, and therefore has the id of an earlier one. */
  sendUnlogged(data: string): void {
    this.#deliver(() => this.listener.onEvent({ event: 'message', id: this.lastEventId, data }))
  }

  /** Moves the last event id without an event. */
  sendPosition(): void {
    this.#sent = this.tab.browser.log.length
    this.#deliver(() => {
      this.lastEventId = `${this.#sent}`
      this.listener.onAlive()
    })
  }

  /** Sends the events of the log that were not sent yet. */
  send(): void {
    for (const event of this.tab.browser.log.slice(this.#sent)) {
      this.#deliver(() => {
        this.lastEventId = event.id
        this.listener.onEvent(event)
        if (!this.isClosed) this.listener.onAlive()
      })
    }
    this.#sent = this.tab.browser.log.length
  }

  close(): void {
    this.isClosed = true
  }

  /** Drops what has not arrived yet, and everything that is sent later. */
  stall(): void {
    this.#isStalled = true
  }

  #deliver(run: () => void): void {
    const { browser } = this.tab
    this.#arrival = Math.max(browser.now + browser.latency(), this.#arrival)
    browser.schedule(this.tab, this.#arrival - browser.now, () => this.isClosed || this.#isStalled || run())
  }
}
