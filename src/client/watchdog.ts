import type { TransportReason } from './fallback.ts'
import { onPageEvent } from './page-events.ts'

/** Receives the notifications of a watchdog. */
export interface WatchdogOwner {
  /** A promise while the application is not reading. */
  readonly paused: Promise<void> | undefined
  /** Called when no byte has arrived for 2.5 intervals. `isMute`: also not before, although the page was awake. */
  onSilent(isMute: boolean): void
  /** Called when a proxy seems to hold the stream. */
  onSuspicion(reason: TransportReason): void
}

/**
 * Watches the arrival of bytes on a stream whose server is never silent for longer than `interval`, its heartbeat in
 * ms. Returns a function to call with the number of events and comments of each read.
 *
 * Counts quarters of the interval, because a page that is frozen or blocked counts none, and its data is late for that
 * reason. Silence is measured by timestamps, which include the sleep of a computer, or by quarters if its clock was set
 * back. It is measured twice, so that data that waits is read in between.
 *
 * A burst is a gap of 1.5 intervals after which two blocks arrive at once. Three indicate a buffer, unless bytes still
 * arrive a quarter after the burst, because a network stalls only now and then. A replay and a burst of the application
 * have no such gap.
 *
 * `quarters` counts from the last byte, `flowing` from the last gap that was too long. `held` counts the blocks since
 * such a gap, and is -Infinity when they no longer count.
 */
export function watch(interval: number, owner: WatchdogOwner, signal: AbortSignal): (blocks: number) => void {
  let lastByte = Date.now()
  let quarters = 0
  let flowing = 0
  let held = -Infinity
  let bursts = 0
  let isSuspect = false
  let isMute = true
  const check = () => {
    if (owner.paused) {
      lastByte = Date.now()
      quarters = 0
    }
    const isSilent = Date.now() - lastByte > 2.25 * interval || quarters > 8
    if (isSilent && isSuspect && !signal.aborted) owner.onSilent(isMute && quarters > 8)
    isSuspect = isSilent
  }
  const timer = setInterval(() => {
    quarters++
    flowing++
    check()
  }, interval / 4)
  signal.addEventListener('abort', () => clearInterval(timer))
  onPageEvent(() => setTimeout(check, interval / 60), signal)
  return (blocks) => {
    if (quarters > 5) held = flowing = 0
    else if (flowing > 1) {
      held = -Infinity
      bursts = 0
    }
    if (quarters) isMute = false
    lastByte = Date.now()
    quarters = 0
    held += blocks
    if (held > 1) {
      held = -Infinity
      if (++bursts > 2) owner.onSuspicion('bursts')
    }
  }
}
