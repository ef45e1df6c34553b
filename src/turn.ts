/** Something that is flushed once at the end of a turn of the event loop. */
export interface Flushable {
  /** @internal */
  _flush(): void
}

let waiting: Flushable[] = []

/** One immediate for all streams: what was sent within a turn leaves in one write each. */
export function flushAfterTurn(target: Flushable): void {
  if (waiting.push(target) === 1) setImmediate(flushAll)
}

function flushAll(): void {
  const targets = waiting
  waiting = []
  for (const target of targets) target._flush()
}
