import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { Browser, type Tab } from '../support/tabs.ts'

const ACTIONS = ['open', 'reload', 'close', 'kill', 'block', 'unblock', 'suspend', 'resume'] as const
// Several times, because most defects need an event in flight.
const OFTEN = ['publish', 'publish', 'publish', 'burst', 'wait', 'wait', 'rest'] as const

interface Step {
  readonly do: (typeof ACTIONS)[number] | (typeof OFTEN)[number]
  readonly tab: number
  readonly ms: number
}

const steps = fc.array(
  fc.record<Step>({
    do: fc.constantFrom(...ACTIONS, ...OFTEN, ...OFTEN),
    tab: fc.nat(7),
    ms: fc.nat(60),
  }),
  { minLength: 20, maxLength: 120 },
)

/** Returns a generator of numbers from 0 to 1 that a seed determines. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}

/** Tabs on which random steps are done. Each tab has a place in the log at which it started. */
class Scene {
  readonly browser: Browser
  readonly starts = new Map<Tab, number>()
  readonly #data: string
  readonly #suspended = new Set<Tab>()

  constructor(random: () => number, dataSize: number) {
    this.browser = new Browser(() => Math.floor(random() ** 4 * 60))
    this.#data = 'x'.repeat(dataSize)
    this.browser.open()
  }

  get open(): Tab[] {
    return this.browser.tabs.filter(({ state, isClosed }) => state !== 'killed' && !isClosed)
  }

  async run({ do: name, tab: index, ms }: Step): Promise<void> {
    const tabs = this.open
    const tab = tabs[index % tabs.length]
    if (name === 'wait') await this.browser.advance(ms)
    else if (name === 'rest') await this.browser.advance(100 * ms)
    else if (name === 'publish') this.browser.publish(this.#data)
    else if (name === 'burst') for (let count = 0; count < 8; count++) this.browser.publish(this.#data)
    else if (name === 'open' || !tab) this.browser.open()
    else await this.#change(name, tab)
    this.#noteStarts()
  }

  async #change(name: Step['do'], tab: Tab): Promise<void> {
    const isSuspended = this.#suspended.has(tab)
    if (name === 'block' && !isSuspended) tab.block()
    else if (name === 'unblock') tab.unblock()
    else if (name === 'kill') tab.kill()
    else if (tab.state === 'blocked') return
    else if (name === 'suspend' && !isSuspended) this.#suspend(tab)
    else if (name === 'resume' && isSuspended) this.#resume(tab)
    else if (name === 'close' || name === 'reload') this.#close(tab, name === 'reload')
  }

  #suspend(tab: Tab): void {
    this.#suspended.add(tab)
    tab.dispatch('pagehide', 'freeze')
  }

  #resume(tab: Tab): void {
    this.#suspended.delete(tab)
    tab.dispatch('resume', 'pageshow')
  }

  #close(tab: Tab, isReload: boolean): void {
    tab.close()
    const last = tab.received.at(-1)?.id
    if (!isReload || !last) return
    this.starts.set(this.browser.open({ lastEventId: last }), Number(last))
  }

  /** A tab starts where it is first, because it may wait for a leader before. */
  #noteStarts(): void {
    for (const tab of this.open) {
      if (this.starts.has(tab) || !tab.engine.lastEventId) continue
      this.starts.set(tab, Number(tab.received[0]?.id ?? Number(tab.engine.lastEventId) + 1) - 1)
    }
  }

  /** Continues all tabs, and publishes until each has received the last event. */
  async finish(): Promise<void> {
    for (const tab of this.#suspended) this.#resume(tab)
    for (const tab of this.open) tab.unblock()
    for (let round = 0; round < 3; round++) {
      await this.browser.advance(10_000)
      this.#noteStarts()
      this.browser.publish(this.#data)
    }
    await this.browser.advance(10_000)
  }
}

/** The ids from `first` to `last`. */
function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test.each([
  { name: 'small', dataSize: 1, runs: 60 },
  { name: 'so large that a tab keeps four', dataSize: 60_000, runs: 60 },
])(
  'delivers to every tab each event after its start once and in order, of $name events',
  async ({ dataSize, runs }) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (steps, seed) => {
        const random = randomOf(seed)
        vi.spyOn(Math, 'random').mockImplementation(random)
        const scene = new Scene(random, dataSize)
        for (const step of steps) await scene.run(step)
        await scene.finish()
        for (const tab of scene.browser.tabs) {
          const start = scene.starts.get(tab)
          const isOpen = scene.open.includes(tab)
          if (start === undefined) expect([isOpen, tab.ids]).toEqual([false, []])
          else
            expect(tab.ids).toEqual(
              range(start + 1, isOpen ? scene.browser.log.length : start + tab.ids.length),
            )
        }
        expect(scene.browser.connections.length).toBe(Math.min(1, scene.open.length))
      }),
      { numRuns: Number(process.env.SHARE_RUNS ?? runs), endOnFailure: true },
    )
  },
)
