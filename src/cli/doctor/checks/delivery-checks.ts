import { buffered, compressed, compressedHeld, delayed } from './buffering.ts'
import type { Check } from './check.ts'
import { cut, ends, tooFewEvents } from './ends.ts'
import { noHeartbeat, slowHeartbeat } from './heartbeat.ts'
import { headersHeld, noBody, noResponseHeaders, slowFirstByte, slowHeaders } from './response-delay.ts'
import {
  noFirstPosition,
  noIds,
  resumeFailed,
  resumeIgnored,
  resumeRepeats,
  resumeSkips,
  unknownIdIgnored,
} from './resume.ts'

/** The checks of the delivery: delays, buffering, heartbeats, resume and ends. */
export const DELIVERY_CHECKS: readonly Check[] = [
  noResponseHeaders,
  slowHeaders,
  headersHeld,
  noBody,
  slowFirstByte,
  compressedHeld,
  buffered,
  delayed,
  compressed,
  noHeartbeat,
  slowHeartbeat,
  resumeFailed,
  resumeIgnored,
  resumeSkips,
  resumeRepeats,
  unknownIdIgnored,
  noIds,
  noFirstPosition,
  cut,
  ends,
  tooFewEvents,
]
