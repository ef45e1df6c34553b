import { SseError } from '../errors.ts'
import type { StoreListener } from './event-store.ts'

/** A store that belongs to one hub. */
export abstract class BaseStore {
  protected listener: StoreListener | undefined

  /** Throws `SseError` `ERR_SSE_OPTION` if the store is open. */
  open(listener: StoreListener): void {
    if (this.listener) {
      const message = 'This store already belongs to a hub; create one store per hub.'
      throw new SseError('ERR_SSE_OPTION', message)
    }
    this.listener = listener
  }
}
