import { createHash } from 'node:crypto'
import type { Ask } from './stream-reads.ts'

const NOT_PERMITTED = /^(NOPERM|ERR unknown command)|ACL failure|can't run this command/i

/** A script on a key, or on several in one slot. Redis keeps it, so that a call sends only its hash. */
export class Script {
  readonly #text: string
  readonly #hash: string

  constructor(text: string) {
    this.#text = text
    this.#hash = createHash('sha1').update(text).digest('hex')
  }

  run(ask: Ask, key: string, ...args: readonly string[]): Promise<unknown> {
    return this.runOn(ask, [key], args)
  }

  async runOn(ask: Ask, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await ask('EVALSHA', this.#hash, ...rest)
    } catch (error) {
      // The server does not have the script, for example because it was started later.
      if (!/^NOSCRIPT/.test((error as Error).message)) throw error
      return ask('EVAL', this.#text, ...rest)
    }
  }
}

/** Whether the user of the connection may not run scripts, or not these commands in them. */
export function isScriptRefused(error: unknown): boolean {
  return NOT_PERMITTED.test((error as Error).message)
}
