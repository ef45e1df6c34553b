import type { Protocol } from '../../protocol.ts'
import type { Exchange } from '../exchange.ts'

/** A request to send. */
export interface ProbeRequest {
  readonly url: URL
  readonly method: string
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Whether any certificate is accepted. */
  readonly isInsecure: boolean
}

/** A request in progress. */
export interface Probe {
  /** The exchange so far. */
  readonly exchange: Exchange
  /** Whether it has ended, failed, or was closed. */
  readonly isDone: boolean
  /** Closes the connection. Nothing is received afterwards. */
  close(): void
}

/** Sends a request. `onChange` is called after each change of the exchange. Never throws, because errors are in the exchange. */
export type Send = (request: ProbeRequest, onChange: () => void) => Probe

export type { Protocol }
