import { atTurnEnd } from '../scheduler/turn.ts'

/**
 * The result of a publish. It is awaited once `then` is called, which `await`, `catch` and `finally` do too. Its
 * rejection is never unhandled. If it is not awaited by the end of the turn in which it is rejected, `onUnawaited` is
 * called.
 */
export class PublishPromise extends Promise<string> {
  // Promises that `then` returns are native, so that their rejections are unhandled as usual.
  static override readonly [Symbol.species] = Promise

  #isAwaited = false

  constructor(
    executor: (resolve: (id: string | PromiseLike<string>) => void) => void,
    onUnawaited: (error: unknown) => void,
  ) {
    super(executor)
    super.then(undefined, (error) => {
      if (!this.#isAwaited) atTurnEnd(() => this.#isAwaited || onUnawaited(error))
    })
  }

  // `await` calls `then` of a subclass in the next microtask. It does not call `then` of a native promise.
  // biome-ignore lint/suspicious/noThenProperty: the call is how a promise is known to be awaited.
  override then<A = string, B = never>(
    onFulfilled?: ((id: string) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#isAwaited = true
    return super.then(onFulfilled, onRejected)
  }
}
