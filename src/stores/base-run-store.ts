import { SseError } from '../errors.ts'
import type { RunOwner } from './run-store.ts'

/** A store of runs that belongs to one `Runs`. */
export abstract class BaseRunStore {
  protected owner: RunOwner | undefined

  /** Throws `SseError` `ERR_SSE_OPTION` if the store has an owner. */
  serve(owner: RunOwner, _lease: number): void {
    if (this.owner) {
      const message = 'This store already belongs to a Runs; create one store per Runs.'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    this.owner = owner
  }
}
