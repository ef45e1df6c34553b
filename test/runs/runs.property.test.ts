import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { Runs } from '../../src/runs/runs.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunPosition, RunRetention, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { parseEvents } from '../support/parse.ts'
import { PushSource } from '../support/runs.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

/** A store that responds after a random number of turns, like a broker. */
class SlowRuns extends MemoryRuns {
  readonly #turns: () => number

  constructor(memory: RunMemory, turns: () => number) {
    super(memory)
    this.#turns = turns
  }

  override append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): never {
    return this.#later(() => super.append(id, epoch, batch, retention))
  }

  override find(id: string): never {
    return this.#later(() => super.find(id))
  }

  override read(id: string, epoch: string, after: RunPosition, bytes: number): never {
    return this.#later(() => super.read(id, epoch, after, Math.min(bytes, 200)))
  }

  /** Messages are late, and may be lost or repeated. A loss is reported later, as that of a connection. */
  override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    let late = Promise.resolve()
    const later = (work: () => void) => {
      const turns = this.#turns()
      late = late.then(async () => {
        for (let turn = 0; turn < turns; turn++) await nextTurn()
        work()
      })
    }
    const watch = super.watch(id, epoch, {
      onBatch: (batch) => {
        const fate = this.#turns()
        if (fate > 1) later(() => watcher.onInterruption())
        else later(() => watcher.onBatch(batch))
        if (fate === 1) later(() => watcher.onBatch(batch))
      },
      onInterruption: () => later(() => watcher.onInterruption()),
    })
    return { ready: settled(), close: () => watch.close() }
  }

  #later<T>(work: () => T): never {
    const turns = this.#turns()
    if (turns === 0) return work() as never
    const wait = async () => {
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      return work()
    }
    return wait() as never
  }
}

/** A client that reconnects as `EventSource` does, until it has received the end. */
class Client {
  text = ''
  end: string | undefined
  gaps = 0
  stream: SseStream | undefined
  transport = new FakeTransport()
  #lastEventId: string | undefined
  #read = 0

  connect(runs: Runs): void {
    const { stream, transport } = fakeStream({ maxBufferedEvents: 3 }, this.#lastEventId)
    this.stream = stream
    this.transport = transport
    this.#read = 0
    void runs.subscribe(stream, 'a')
  }

  receive(): void {
    const { all } = this.transport
    for (const { id, event, data } of parseEvents(all.slice(this.#read).join(''))) {
      this.#lastEventId = id ?? this.#lastEventId
      if (event === 'text') this.text += data
      if (event === 'gap') this.gaps += 1
      if (event === 'end') this.end = data
    }
    this.#read = all.length
  }

  cut(): void {
    this.receive()
    this.transport.lose()
  }
}

type Step = readonly ['push' | 'connect' | 'cut' | 'fill' | 'drain' | 'turn', number]

const steps = fc.array(
  fc.tuple(
    fc.constantFrom(
      'push',
      'push',
      'connect',
      'cut',
      'fill',
      'drain',
      'turn',
      'turn',
      'turn',
    ) as fc.Arbitrary<Step[0]>,
    fc.nat(3),
  ),
  { maxLength: 60 },
)

const merge = (previous: SseEvent, next: SseEvent) =>
  previous.event === 'text' && next.event === 'text'
    ? { event: 'text', data: previous.data + next.data }
    : undefined

describe('the clients of a run', () => {
  test('receive the whole text once and its end, after any steps', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.boolean(),
        fc.array(fc.nat(2), { minLength: 1, maxLength: 50 }),
        async (all, merges, delays) => {
          const memory = new RunMemory()
          let at = 0
          const turns = () => delays[at++ % delays.length] as number
          const open = () => new Runs({ store: new SlowRuns(memory, turns), ...(merges && { merge }) })
          const processes = [open(), open()]
          const source = new PushSource()
          const run = await (processes[0] as Runs).start('a', (signal) => source.read(signal))
          const clients = [new Client(), new Client(), new Client(), new Client()]
          let [count, expected] = [0, '']
          for (const [kind, which] of all) {
            const client = clients[which] as Client
            if (kind === 'push') {
              for (let left = which * which + 1; left > 0; left--) {
                const data = `${count++} `.padEnd(which * 20)
                expected += data
                source.push({ event: 'text', data })
              }
            } else if (kind === 'connect') {
              client.cut()
              client.connect(processes[which % 2] as Runs)
            } else if (kind === 'cut') client.cut()
            else if (kind === 'fill') client.transport.isFull = true
            else if (kind === 'drain') client.transport.drain()
            else await nextTurn()
          }
          source.end()
          expect(await run.whenEnded()).toBe('done')
          for (const [index, client] of clients.entries()) {
            client.receive()
            for (let round = 0; !client.end; round++) {
              if (client.stream?.closed !== false) client.connect(processes[index % 2] as Runs)
              // After a loss, a client may wait for two delays of 50 ms, in which thousands of rounds pass.
              expect(round).toBeLessThan(500_000)
              client.transport.drain()
              await settled()
              client.receive()
            }
            expect(client).toMatchObject({ text: expected, end: '{"reason":"done"}', gaps: 0 })
          }
          for (const each of processes) await each.shutdown({ grace: 0 })
          expect(processes.map(({ size, running }) => [size, running])).toEqual([
            [0, 0],
            [0, 0],
          ])
        },
      ),
      {
        numRuns: Number(process.env.PROPERTY_RUNS ?? 100),
        // A read returns events in another batch than the one in which they were reported meanwhile.
        examples: [
          [
            [
              ['push', 3],
              ['connect', 0],
            ],
            false,
            [0, 0, 2, 0, 2],
          ],
        ],
      },
    )
  })
})
