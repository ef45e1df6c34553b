/** Something that is flushed once at the end of a turn of the event loop. */
export interface Flushable {
  /** @internal */
  _flush(): void
}

// A turn is not time: fake timers of an application's tests must not hold it.
const afterTurn = setImmediate

let waiting: Flushable[] = []

/** One immediate for all streams: what was sent within a turn leaves in one write each. */
export function flushAfterTurn(target: Flushable): void {
  if (waiting.push(target) === 1) afterTurn(flushAll)
}

function flushAll(): void {
  const targets = waiting
  waiting = []
  for (const target of targets) target._flush()
}
