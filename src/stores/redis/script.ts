import { createHash } from 'node:crypto'
import type { Ask } from './stream-reads.ts'

const NOT_PERMITTED = /^(NOPERM|ERR unknown command)|ACL failure|can't run this command/i

/** A script on one key. Redis keeps it, so that a call sends only its hash. */
export class Script {
  readonly #text: string
  readonly #hash: string

  constructor(text: string) {
    this.#text = text
    this.#hash = createHash('sha1').update(text).digest('hex')
  }

  async run(ask: Ask, key: string, ...args: readonly string[]): Promise<unknown> {
    try {
      return await ask('EVALSHA', this.#hash, '1', key, ...args)
    } catch (error) {
      // A server that was started later, for example.
      if (!/^NOSCRIPT/.test((error as Error).message)) throw error
      return ask('EVAL', this.#text, '1', key, ...args)
    }
  }
}

/** Whether the user of the connection may not run scripts, or not these commands in them. */
export function isScriptRefused(error: unknown): boolean {
  return NOT_PERMITTED.test((error as Error).message)
}
