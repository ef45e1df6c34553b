import { setTimeout as pause } from 'node:timers/promises'
import { atTurnEnd } from '../../scheduler/turn.ts'
import { withDeadline } from '../broker/deadline.ts'
import { closedError } from '../broker/errors.ts'
import { backoff } from './backoff.ts'
import type { ConnectionListener, MessageListener, Pipelining, RedisConnection } from './connection.ts'
import { type Redirection, redirectionOf } from './redirection.ts'
import { ServerLink } from './server-link.ts'
import type { Topology } from './topology.ts'

// The number of redirections that are followed without a delay.
const FAST_HOPS = 3

/**
 * A connection that moves to the server of its key, which is the master of a slot, or the master that sentinels name.
 */
export class RoutedConnection implements RedisConnection {
  readonly #topology: Topology
  readonly #key: string
  readonly #timeout: number
  readonly #listener: ConnectionListener
  readonly #closing = new AbortController()
  #link: ServerLink | undefined
  #isUp = false
  #redirection: Redirection | undefined

  /** `timeout` is the time in ms in which a server must accept the connection. */
  constructor(topology: Topology, key: string, timeout: number, listener: ConnectionListener) {
    this.#topology = topology
    this.#key = key
    this.#timeout = timeout
    this.#listener = listener
    void this.#connect()
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  get isReady(): boolean {
    return this.#isUp && this.#link?.isReady === true
  }

  // During a migration, a server rejects a command on two keys if it has only one of them, but executes a command on
  // that key. At the new server, the migration may also end between two commands.
  get pipelining(): Pipelining {
    if (!this.#topology.redirects) return 'all'
    return this.#link?.isAsking ? 'single' : 'alike'
  }

  command(...args: string[]): Promise<unknown> {
    return this.#use((link) => link.command(...args))
  }

  subscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    return this.#use((link) => link.subscribe(channels, listener))
  }

  unsubscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    return this.#use((link) => link.unsubscribe(channels, listener))
  }

  reconnect(): void {
    if (this.#isUp || this.#redirection) this.#move()
  }

  close(): void {
    this.#closing.abort()
    this.#link?.close()
  }

  async #use<T>(work: (link: ServerLink) => Promise<T>): Promise<T> {
    const link = this.#link
    if (!link || !this.isReady) throw new Error('The connection is offline.')
    try {
      return await work(link)
    } catch (error) {
      if (link === this.#link) this.#redirect(redirectionOf(error as Error))
      throw error
    } finally {
      // An earlier move would leave the result of commands in flight unknown.
      if (link === this.#link && this.#redirection && link.inFlight === 0) this.#move()
    }
  }

  #redirect(redirection: Redirection | undefined): void {
    this.#redirection ??= redirection
    if (this.#redirection) this.#down()
  }

  #down(): void {
    if (!this.#isUp || this.#isClosed) return
    this.#isUp = false
    this.#listener.onLost()
  }

  #lost(link: ServerLink): void {
    // Before the link is up, its `ready` or the probe is rejected instead.
    if (link !== this.#link || !(this.#isUp || this.#redirection)) return
    this.#move()
  }

  /** Closes the connection, if it is not lost, and opens the next one. */
  #move(): void {
    const redirection = this.#redirection
    const link = this.#link
    this.#link = undefined
    this.#redirection = undefined
    // Deferred, because the client may be emitting an event, after which it rejects the commands in flight.
    atTurnEnd(() => link?.close())
    this.#down()
    void this.#connect(redirection)
  }

  async #connect(redirection?: Redirection): Promise<void> {
    let next = redirection
    for (let attempt = 0; !this.#isClosed; attempt++) {
      try {
        const link = await this.#reach(next)
        // Checked in the same step, because a loss is not reported before the link is up.
        if (!link.isReady) throw closedError()
        this.#isUp = true
        return this.#listener.onReady()
      } catch (error) {
        this.#link?.close()
        next = redirectionOf(error as Error)
        if (!next && !this.#isClosed) this.#listener.onError(error as Error)
        if (!next || attempt >= FAST_HOPS) await this.#pause(backoff(attempt))
      }
    }
  }

  // Resolves early if the connection is closed, because a timer would keep the process running.
  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  /** Resolves with the link to a server that executes commands on the key. It may be lost again. */
  async #reach(redirection: Redirection | undefined): Promise<ServerLink> {
    const link = new ServerLink(this.#topology, redirection, {
      onLost: () => this.#lost(link),
      onError: (error) => this.#listener.onError(error),
    })
    this.#link = link
    const deadline = performance.now() + this.#timeout
    await withDeadline(deadline, link.ready)
    if (this.#topology.redirects) await withDeadline(deadline, link.command('TYPE', this.#key))
    return link
  }
}
