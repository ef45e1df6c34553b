/** Something that is flushed once at the end of a turn of the event loop. */
export interface Flushable {
  /** @internal */
  _flush(): void
}

/** Something that holds back, for many streams, what was published within a turn. */
export interface Holder {
  /** @internal Gives the streams what was held back: to be written at once when the turn is over. */
  _handOut(isTurnOver: boolean): void
}

// A turn is not time: fake timers of an application's tests must not hold it. Edge runtimes know no other end of a turn;
// Next's has a `setImmediate` that throws.
const isNode = globalThis.process?.versions?.node !== undefined
const afterTurn: (work: () => void) => unknown = isNode
  ? globalThis.setImmediate
  : (work) => setTimeout(work, 0)

let waiting: Flushable[] = []
let holder: Holder | undefined
let isDue = false

/** One immediate for all streams: what was sent within a turn leaves in one write each. */
export function flushAfterTurn(target: Flushable): void {
  waiting.push(target)
  beDue()
}

/** Has a holder hand out at the end of the turn, and another one now: a stream may follow both. */
export function holdForTurn(next: Holder): void {
  if (holder !== next) settleTurn()
  holder = next
  beDue()
}

/** Has handed out what is held back: it comes before what is sent now. */
export function settleTurn(isTurnOver = false): void {
  const settled = holder
  holder = undefined
  settled?._handOut(isTurnOver)
}

/** Resolves at the end of the turn. */
export function turnEnd(): Promise<void> {
  return new Promise((resolve) => flushAfterTurn({ _flush: resolve }))
}

function beDue(): void {
  if (!isDue) afterTurn(flushAll)
  isDue = true
}

function flushAll(): void {
  // What it leaves waiting, behind what a stream was sent itself, goes in the same write.
  settleTurn(true)
  isDue = false
  // A filter may have published while this was handed out.
  if (holder) beDue()
  const targets = waiting
  waiting = []
  for (const target of targets) target._flush()
}
