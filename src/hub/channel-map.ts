import type { SubscribeOptions } from './subscribe-options.ts'

/** The channels of a subscription with their options. The first one needs no map, because most streams have only one. */
export class ChannelMap {
  #first: string | undefined
  #firstOptions: SubscribeOptions | undefined
  #others: Map<string, SubscribeOptions> | undefined

  get size(): number {
    return Number(this.#first !== undefined) + (this.#others?.size ?? 0)
  }

  get(channel: string): SubscribeOptions | undefined {
    return channel === this.#first ? this.#firstOptions : this.#others?.get(channel)
  }

  set(channel: string, options: SubscribeOptions): void {
    if (this.size === 0) this.#first = channel
    if (channel === this.#first) this.#firstOptions = options
    else {
      this.#others ??= new Map()
      this.#others.set(channel, options)
    }
  }

  delete(channel: string): void {
    if (channel !== this.#first) this.#others?.delete(channel)
    else {
      this.#first = undefined
      this.#firstOptions = undefined
    }
  }

  get channels(): string[] {
    return [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others?.keys() ?? [])]
  }
}
