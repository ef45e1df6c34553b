/** An event as a transport delivers it. */
export interface ReceivedEvent {
  /** Name of the event, `message` if it has none. */
  readonly event: string
  /** The last event id, which is that of this event or of an earlier one. */
  readonly id: string
  /** The text of the data. */
  readonly data: string
}

/** A transport: a stream of events, or a long poll that responds with JSON. */
export type TransportName = 'event-stream' | 'json'

/** The transport in use. */
export interface TransportChange {
  readonly transport: TransportName
  /** Why the transport was chosen, for example `bursts`. Undefined unless this session has chosen it. */
  readonly reason: string | undefined
}

/** Receives the notifications of an engine. */
export interface EngineListener {
  /** Called when the engine has connected or reconnected. */
  onOpen(change: TransportChange): void
  onEvent(event: ReceivedEvent): void
  /**
   * Called when a connection was lost. If `isFinal`, no call follows; otherwise the engine reconnects. `error` is
   * undefined if the server ended the stream, or the connection by 204.
   */
  onError(error: unknown, isFinal: boolean): void
  /** Called when any byte has arrived. */
  onAlive(): void
}

/** A source of events that reconnects until it is closed. Its connection belongs to this page or to another tab. */
export interface Engine {
  /** Ends all requests. The listener is not called afterwards. */
  close(): void
  readonly lastEventId: string
  /**
   * Sets how many events wait for the slowest loop. Above a limit, nothing is read, so that the server stops sending. A
   * shared connection fails instead, because other tabs wait for the same stream.
   */
  setBacklog?(count: number): void
}

/** Starts an engine that resumes after `lastEventId`, or begins without a position if it is empty. */
export type StartEngine = (listener: EngineListener, lastEventId: string) => Engine
