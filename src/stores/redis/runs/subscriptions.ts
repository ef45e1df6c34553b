import { setTimeout as pause } from 'node:timers/promises'
import { Condition } from '../../../condition.ts'
import { SseError } from '../../../errors.ts'
import { jitter } from '../../../scheduler/jitter.ts'
import { type Flushable, turn } from '../../../scheduler/turn.ts'
import { withDeadline } from '../../broker/deadline.ts'
import type { ConnectionListener, RedisConnection } from '../connection.ts'

/** Receives the messages of a channel. */
export interface Subscriber {
  onMessage(text: string): void
  /** Called once messages are received again, after some may have been missed. */
  onInterruption(): void
}

export interface Subscription {
  /**
   * Resolves when every further message is received, or the connection is closed. Undefined if that is already the
   * case.
   */
  readonly ready: Promise<void> | undefined
  close(): void
}

// The maximum number of channels of one command.
const MAX_CHANNELS = 1_000
// How often the connection is probed while there are subscriptions, in ms. A half-open one would receive nothing.
const PROBE_INTERVAL = 5_000
// The minimum delay before a rejected command is retried, in ms.
const RETRY_DELAY = 1_000

/** The connection that receives the messages of all channels. It is opened with the first subscription. */
export class Subscriptions implements Flushable {
  readonly #open: (listener: ConnectionListener) => RedisConnection
  readonly #responseTimeout: number
  readonly #channels = new Map<string, Channel>()
  // Names of channels to which the connection must subscribe.
  readonly #missing = new Set<string>()
  // Names of channels to which the connection may be subscribed. A client that resubscribes by itself restores the
  // subscriptions of a lost connection.
  readonly #requested = new Set<string>()
  // Names of channels from which the connection must unsubscribe. No subscription needs them.
  readonly #unneeded = new Set<string>()
  readonly #closing = new AbortController()
  #connection: RedisConnection | undefined
  // Counts the losses of the connection.
  #losses = 0
  #isScheduled = false
  #isUpdating = false
  #probes: ReturnType<typeof setInterval> | undefined

  constructor(open: (listener: ConnectionListener) => RedisConnection, responseTimeout: number) {
    this.#open = open
    this.#responseTimeout = responseTimeout
  }

  /** Subscribes to a channel that has no subscription. */
  subscribe(name: string, subscriber: Subscriber): Subscription {
    const channel = new Channel(subscriber)
    if (this.#closing.signal.aborted) channel.activate(false)
    else this.#add(name, channel)
    return {
      get ready() {
        return channel.isActive ? undefined : channel.whenActive()
      },
      close: () => this.#remove(name, channel),
    }
  }

  /** Replaces the connection, if there is one. */
  reconnect(): void {
    this.#connection?.reconnect()
  }

  close(): void {
    this.#closing.abort()
    clearInterval(this.#probes)
    this.#connection?.close()
    for (const channel of this.#channels.values()) channel.activate(false)
    this.#channels.clear()
  }

  /** @internal */
  _flush(): void {
    this.#isScheduled = false
    void this.#update()
  }

  #add(name: string, channel: Channel): void {
    this.#channels.set(name, channel)
    this.#missing.add(name)
    this.#unneeded.delete(name)
    this.#connection ??= this.#open({
      onReady: () => void this.#update(),
      onLost: () => this.#onLost(),
      onError: () => {},
    })
    if (!this.#probes) {
      this.#probes = setInterval(() => void this.#probe(), PROBE_INTERVAL)
      this.#probes.unref?.()
    }
    this.#schedule()
  }

  #remove(name: string, channel: Channel): void {
    if (this.#channels.get(name) !== channel) return
    this.#channels.delete(name)
    this.#missing.delete(name)
    if (this.#requested.has(name)) this.#unneeded.add(name)
    if (this.#channels.size === 0) {
      clearInterval(this.#probes)
      this.#probes = undefined
    }
    this.#schedule()
  }

  #schedule(): void {
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  #onLost(): void {
    this.#losses += 1
    for (const [name, channel] of this.#channels) {
      channel.interrupt()
      this.#missing.add(name)
    }
    this.#schedule()
  }

  get #isOutdated(): boolean {
    return !this.#closing.signal.aborted && this.#unneeded.size + this.#missing.size > 0
  }

  /** Sends commands, one at a time, until the connection has exactly the subscriptions that are needed. */
  async #update(): Promise<void> {
    if (this.#isUpdating) return
    this.#isUpdating = true
    while (this.#connection?.isReady && this.#isOutdated) {
      const losses = this.#losses
      const isDone = this.#unneeded.size > 0 ? await this.#unsubscribe() : await this.#subscribe()
      if (!isDone && losses === this.#losses) await this.#pause()
    }
    this.#isUpdating = false
  }

  async #unsubscribe(): Promise<boolean> {
    const names = take(this.#unneeded)
    const isDone = await this.#try((connection) => connection.unsubscribe(names, this.#onMessage))
    for (const name of names) {
      if (isDone) this.#requested.delete(name)
      else if (!this.#channels.has(name)) this.#unneeded.add(name)
    }
    return isDone
  }

  async #subscribe(): Promise<boolean> {
    const names = take(this.#missing)
    for (const name of names) this.#requested.add(name)
    const losses = this.#losses
    const hasResponse = await this.#try((connection) => connection.subscribe(names, this.#onMessage))
    // Checked in this step, because only a later loss interrupts an active channel.
    const isDone = hasResponse && losses === this.#losses
    for (const name of names) {
      const channel = this.#channels.get(name)
      if (isDone) channel?.activate(true)
      else if (channel) this.#missing.add(name)
    }
    return isDone
  }

  /** Resolves with false if the connection was lost, did not respond and is replaced, or has rejected the command. */
  async #try(work: (connection: RedisConnection) => Promise<unknown>): Promise<boolean> {
    const connection = this.#connection as RedisConnection
    try {
      await withDeadline(performance.now() + this.#responseTimeout, work(connection))
      return true
    } catch (error) {
      if (error instanceof SseError) connection.reconnect()
      return false
    }
  }

  async #probe(): Promise<void> {
    // Lower case, because ioredis compares the name with those that a subscribed connection accepts.
    if (this.#connection?.isReady) await this.#try((connection) => connection.command('ping'))
  }

  // Resolves early if the connection is closed, because a timer would keep the process running.
  async #pause(): Promise<void> {
    await pause(jitter(RETRY_DELAY), undefined, { signal: this.#closing.signal }).catch(() => {})
  }

  readonly #onMessage = (text: string, name: string): void => {
    this.#channels.get(name)?.subscriber.onMessage(text)
  }
}

class Channel {
  readonly subscriber: Subscriber
  isActive = false
  #isInterrupted = false
  readonly #changed = new Condition()

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber
  }

  whenActive(): Promise<void> {
    return this.#changed.until(() => this.isActive)
  }

  activate(isConnected: boolean): void {
    this.isActive = true
    this.#changed.notify()
    const wasInterrupted = this.#isInterrupted
    this.#isInterrupted = false
    if (isConnected && wasInterrupted) this.subscriber.onInterruption()
  }

  interrupt(): void {
    if (this.isActive) this.#isInterrupted = true
    this.isActive = false
  }
}

/** Removes some names from a set, and returns them. */
function take(names: Set<string>): string[] {
  const taken = [...names.keys()].slice(0, MAX_CHANNELS)
  for (const name of taken) names.delete(name)
  return taken
}
