import { taggedKey } from '../tagged-key.ts'

/** The keys of runs, which are also names of channels. All of them are in one slot of a cluster. */
export class RunKeys {
  readonly base: string
  /**
   * A key that never exists, which each command names too. While a slot of a cluster is migrated, Redis then rejects
   * the command. Otherwise, a server that does not have the other key yet would execute it.
   */
  readonly absent: string

  /** Throws `SseError` `ERR_SSE_OPTION` for a key with a brace but without a hash tag. */
  constructor(prefix: string, key: string) {
    this.base = taggedKey(prefix, key)
    this.absent = `${this.base}:absent`
  }

  run(id: string): string {
    return `${this.base}:run:${id}`
  }

  owner(name: string): string {
    return `${this.base}:owner:${name}`
  }
}
