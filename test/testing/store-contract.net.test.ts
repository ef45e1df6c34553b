import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { EventStore, History, Page, StoreListener } from '../../src/stores/event-store.ts'
import { LogEntry, type Publication } from '../../src/stores/log-entry.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { type StoreTraits, storeContract } from '../../src/testing/store-contract.ts'
import { PlainStore } from '../stores/plain-store.ts'

/** Runs the suite without a test runner. Resolves with the names of the failed tests. */
async function failuresOf(open: () => EventStore, traits?: StoreTraits): Promise<string[]> {
  const tests: Array<[name: string, run: () => Promise<void>]> = []
  const runner = {
    describe: (_name: string, define: () => void) => define(),
    test: (name: string, run: () => Promise<void>) => void tests.push([name, run]),
  }
  storeContract(runner, 'a store', open, traits)
  const failed = await Promise.all(
    tests.map(([name, run]) =>
      run().then(
        () => [],
        () => [name],
      ),
    ),
  )
  return failed.flat()
}

class AsyncEnd extends PlainStore {
  override read(...args: Parameters<PlainStore['read']>): Page {
    return Promise.resolve(super.read(...args)) as never
  }
}

class Silent extends PlainStore {
  override read(...args: Parameters<PlainStore['read']>): Page {
    const page = super.read(...args)
    return page === 'gap' ? { entries: [], upTo: this.position } : page
  }
}

class Inclusive extends PlainStore {
  override read(channels: readonly string[], after: string, limit: number): Page {
    const before = after.replace(/\d+$/, (digits) => String(Math.max(0, Number(digits) - 1)))
    return super.read(channels, before, limit)
  }
}

class Unlimited extends PlainStore {
  override read(channels: readonly string[], after: string): Page {
    return super.read(channels, after, 1_000)
  }
}

class Roomless extends MemoryStore {
  override read(channels: readonly string[], after: string, limit: number): Page {
    return super.read(channels, after, limit)
  }
}

class Stuck extends MemoryStore {
  override read(...args: Parameters<MemoryStore['read']>): Page {
    const page = super.read(...args)
    const { room = Number.POSITIVE_INFINITY } = args[3] ?? {}
    if (page === 'gap' || !page.entries[0] || page.entries[0].size <= room) return page
    return { entries: [], upTo: args[1] }
  }
}

class Forgetful extends PlainStore {
  override append({ idempotencyKey: _, ...publication }: Publication): Promise<string> {
    return super.append(publication)
  }
}

class Unscoped extends PlainStore {
  override append(publication: Publication): Promise<string> {
    return super.append(publication.idempotencyKey ? { ...publication, channel: 'a' } : publication)
  }
}

class Twice extends PlainStore {
  override open({ onEntry, onLoss }: StoreListener): void {
    super.open({
      onLoss,
      onEntry: (entry) => {
        onEntry(entry)
        onEntry(entry)
      },
    })
  }
}

class Reopened extends MemoryStore {
  override open(listener: StoreListener): void {
    this.listener = listener
  }
}

class AlwaysReady extends PlainStore {
  readonly ready = Promise.resolve()
}

/** Reads after the oldest entry it still has, without a gap. */
class Lossy extends MemoryStore {
  constructor() {
    super({ maxEvents: 100 })
  }

  override read(channels: readonly string[], after: string, limit: number): Page {
    const page = super.read(channels, after, limit)
    const isEvicted = page === 'gap' && this.compare(this.position, after) > 0 && this.compare(after, '') > 0
    return isEvicted ? super.read(channels, this.history(channels, Infinity).after, limit) : page
  }
}

class Complete extends MemoryStore {
  constructor() {
    super({ maxEvents: 100 })
  }

  override history(channels: readonly string[], last: number): History {
    return { ...super.history(channels, last), isIncomplete: false }
  }
}

class Late extends MemoryStore {
  override open({ onEntry, onLoss }: StoreListener): void {
    super.open({ onLoss, onEntry: (entry) => void setImmediate(onEntry, entry) })
  }
}

class Traceless extends PlainStore {
  override append({ trace: _, ...publication }: Publication): Promise<string> {
    return super.append(publication)
  }
}

class Latin extends PlainStore {
  override append(publication: Publication): Promise<string> {
    return super.append({ ...publication, data: Buffer.from(publication.data, 'latin1').toString('latin1') })
  }
}

class Lowercase extends PlainStore {
  override append(publication: Publication): Promise<string> {
    return super.append({ ...publication, channel: publication.channel.toLowerCase() })
  }
}

/** Rejects an append after the close with an error of another class. */
class Ended extends MemoryStore {
  #isEnded = false

  override async append(publication: Publication): Promise<string> {
    if (this.#isEnded) throw new Error('The store is closed.')
    return super.append(publication)
  }

  override async close(): Promise<void> {
    this.#isEnded = true
    await super.close()
  }
}

/** Has a connection that can be closed once. */
class ClosedOnce extends PlainStore {
  #isClosed = false

  override async close(): Promise<void> {
    if (this.#isClosed) throw new Error('The connection is closed.')
    this.#isClosed = true
    await super.close()
  }
}

class Nameless extends PlainStore {
  override open({ onEntry, onLoss }: StoreListener): void {
    super.open({
      onLoss,
      onEntry: ({ id, channel, event }) => onEntry(new LogEntry(id, { channel, data: String(event.data) })),
    })
  }
}

class Reversed extends MemoryStore {
  override compare(a: string, b: string): number {
    return super.compare(b, a)
  }
}

class Short extends MemoryStore {
  override history(channels: readonly string[], last: number): History {
    return super.history(channels, last - 1)
  }
}

class Fresh extends MemoryStore {
  override staleness(): number {
    return 0
  }
}

describe('the contract suite of a store', () => {
  it('passes for a memory store', async () => {
    expect(await failuresOf(() => new MemoryStore(), { respectsRoom: true })).toEqual([])
  })

  it('passes for a plain store', async () => {
    const open = () => new PlainStore()
    expect(await failuresOf(open, { openAnother: open })).toEqual([])
  })

  it('passes for a store that can be closed only once', async () => {
    expect(await failuresOf(() => new ClosedOnce())).toEqual([])
  })

  it.each<[fault: string, store: new () => EventStore, failed: string]>([
    ['can be opened twice', Reopened, 'throws ERR_SSE_OPTION if it is opened again'],
    ['is still waiting when it can be read', AlwaysReady, 'has no ready once it can be read'],
    ['omits evicted entries', Lossy, 'returns a gap for a position after which entries were evicted'],
    ['has evicted entries of a complete history', Complete, 'after which entries were evicted'],
    ['reads entries before it delivers them', Late, 'reads only entries that were passed to onEntry'],
    ['drops the trace of a publish', Traceless, 'keeps the trace of a publish'],
    ['drops characters outside Latin-1', Latin, 'keeps text with any characters'],
    ['ignores the case of channels', Lowercase, 'distinguishes channels with similar names'],
    ['rejects an append with another error', Ended, 'stores an event or rejects with an SseError'],
    ['returns a promise for the empty page', AsyncEnd, 'returns the empty page synchronously'],
    ['returns an empty page in place of a gap', Silent, 'returns a gap for the id "*"'],
    ['reads from a position instead of after it', Inclusive, 'reads strictly after a position'],
    ['ignores the limit', Unlimited, 'reads strictly after a position, in pages'],
    ['returns no entry that is larger than the room', Stuck, 'reads everything for a reader'],
    ['ignores idempotency keys', Forgetful, 'appends one event for an idempotency key'],
    ['shares idempotency keys between channels', Unscoped, 'appends an event on each channel'],
    ['delivers an entry twice', Twice, 'passes every entry to onEntry once'],
    ['drops fields of an event', Nameless, 'keeps every field of an event'],
    ['compares positions in reverse', Reversed, 'orders positions by compare'],
    ['begins a history too late', Short, 'where the newest events of some channels begin'],
    ['has no stale position', Fresh, 'returns by staleness 0 at the newest position'],
  ])('fails for a store that %s', async (_, Store, failed) => {
    const failures = await failuresOf(() => new Store())
    expect(failures).toContainEqual(expect.stringContaining(failed))
  })

  it('fails for a store that ignores the room of a reader only if the options require it', async () => {
    const open = () => new Roomless()
    expect(await failuresOf(open)).toEqual([])
    expect(await failuresOf(open, { respectsRoom: true })).toEqual([
      'ends a page before it exceeds the room of its reader',
    ])
  })

  it('runs under node:test, from both builds', async () => {
    const program = (load: string) => `
      const { describe, test } = require('node:test')
      ;(async () => {
        const [{ storeContract }, { memoryStore }] = await Promise.all(
          ['spillway/testing/store-contract', 'spillway'].map(${load}))
        storeContract({ describe, test }, 'memoryStore', memoryStore)
      })()`
    for (const load of ['(name) => import(name)', '(name) => require(name)']) {
      const cwd = join(import.meta.dirname, '../..')
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', program(load)], { cwd })
      expect(stdout).toMatch(/^. tests 3\d$/m)
      expect(stdout).toMatch(/^. fail 0$/m)
    }
  })
})
