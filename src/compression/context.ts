// A dictionary of this many bytes holds several small events. A larger one takes longer to load than it saves.
const MIN_CAPACITY = 2048

// The maximum distance of a reference in DEFLATE (RFC 1951 2), less the reserve of zlib.
const MAX_CAPACITY = 32 * 1024 - 262

// How many writes that would fit into half of the capacity halve it. Heartbeats between two large events are fewer.
const MAX_SMALL_WRITES = 16

// Append-only bytes, of which several contexts are views.
interface Storage {
  readonly bytes: Buffer
  length: number
}

/**
 * The plain bytes that a stream sent last, to which the next bytes may refer. Immutable, because streams share it. It
 * holds at least 2 KiB, and the last large event with the one before.
 */
export class Context {
  static readonly EMPTY = new Context({ bytes: Buffer.alloc(0), length: 0 }, 0, MIN_CAPACITY, 0)

  readonly dictionary: Buffer
  readonly #storage: Storage
  readonly #end: number
  readonly #capacity: number
  readonly #smallWrites: number

  private constructor(storage: Storage, start: number, capacity: number, smallWrites: number) {
    this.#storage = storage
    this.#end = storage.length
    this.dictionary = storage.bytes.subarray(start, this.#end)
    this.#capacity = capacity
    this.#smallWrites = smallWrites
  }

  /** Returns the context after a write. */
  after(bytes: Buffer): Context {
    const wanted = capacityFor(bytes.length)
    if (wanted >= this.#capacity) return this.#append(bytes, wanted, 0)
    if (this.#smallWrites + 1 < MAX_SMALL_WRITES)
      return this.#append(bytes, this.#capacity, this.#smallWrites + 1)
    return this.#append(bytes, Math.max(wanted, capacityFor(this.#capacity / 8)), 0)
  }

  equals(other: Context): boolean {
    return (
      this.#capacity === other.#capacity &&
      this.#smallWrites === other.#smallWrites &&
      this.dictionary.equals(other.dictionary)
    )
  }

  #append(bytes: Buffer, capacity: number, smallWrites: number): Context {
    const added = bytes.subarray(-capacity)
    const kept = Math.min(this.dictionary.length, capacity - added.length)
    const storage = this.#storageFor(added.length, kept, capacity)
    const start = storage.length - kept
    added.copy(storage.bytes, storage.length)
    storage.length += added.length
    return new Context(storage, start, capacity, smallWrites)
  }

  // Appends in place if no other context was derived from this one, because a copy would be 2 KiB of garbage.
  #storageFor(added: number, kept: number, capacity: number): Storage {
    const { bytes, length } = this.#storage
    const mayGrow = bytes.length <= 2 * capacity
    if (length === this.#end && length + added <= bytes.length && mayGrow) return this.#storage
    // `allocUnsafe` would use the pool of Node.js, of which a small buffer retains 8 KiB.
    const copy = Buffer.allocUnsafeSlow(Math.min(2 * capacity, Math.max(256, 2 * (kept + added))))
    this.dictionary.copy(copy, 0, this.dictionary.length - kept)
    return { bytes: copy, length: kept }
  }
}

// Returns a power of two, so that streams with nearly the same events have the same capacity.
function capacityFor(size: number): number {
  const capacity = 2 ** Math.ceil(Math.log2(2 * Math.max(1, size)))
  return Math.min(MAX_CAPACITY, Math.max(MIN_CAPACITY, capacity))
}
