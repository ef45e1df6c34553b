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

/** A request in progress. Errors are in the exchange, so that its constructor does not throw. */
export interface Probe {
  /** The exchange so far. */
  readonly exchange: Exchange
  /** Whether it has ended, failed, or was closed. */
  readonly isDone: boolean
  /** Closes the connection. Nothing is received afterwards. */
  close(): void
}
