import { Writable } from 'node:stream'
import type { Terminal } from '../../src/cli/terminal.ts'

/** A terminal that keeps its output. */
export interface FakeTerminal extends Terminal {
  /** The text that was written to `out` so far. */
  readonly output: string
  /** The text that was written to `err` so far. */
  readonly errors: string
}

/** Returns a terminal without colours whose lines cannot be replaced, except as given. */
export function fakeTerminal(given: Partial<Terminal> = {}): FakeTerminal {
  const written = { out: '', err: '' }
  const streamOf = (name: 'out' | 'err') =>
    new Writable({
      decodeStrings: false,
      write: (chunk, _, done) => {
        written[name] += String(chunk)
        done()
      },
    })
  return {
    out: streamOf('out'),
    err: streamOf('err'),
    isInteractive: false,
    hasColor: false,
    columns: 80,
    signal: new AbortController().signal,
    ...given,
    get output() {
      return written.out
    },
    get errors() {
      return written.err
    },
  }
}
