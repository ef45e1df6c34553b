// So that the iterator of a small map is not replaced with each key.
const SLACK = 8

/** A Map with its oldest key, in the order in which the keys were added. */
export class OrderedMap<K, V> extends Map<K, V> {
  // Kept, because a new iterator visits all deleted slots at the front, so that one for each key would be quadratic. It
  // never ends, because it is used only while the map has a key that it has not returned.
  #keys = this.keys()
  // The key that it returned last, unless that was deleted.
  #oldest: K | undefined
  // How many keys were set since the iterator was created.
  #age = 0

  /** Undefined if the map is empty. */
  get oldest(): K | undefined {
    if (this.size > 0) this.#oldest ??= this.#keys.next().value as K
    return this.#oldest
  }

  /** Removes and returns the oldest key. Returns undefined if the map is empty. */
  shift(): K | undefined {
    const { oldest } = this
    if (oldest !== undefined) this.delete(oldest)
    return oldest
  }

  override set(key: K, value: V): this {
    this.#age += 1
    if (this.#age > SLACK + this.size / 2) this.#restart()
    return super.set(key, value)
  }

  override delete(key: K): boolean {
    if (key === this.#oldest) this.#oldest = undefined
    return super.delete(key)
  }

  override clear(): void {
    this.#oldest = undefined
    super.clear()
  }

  // An iterator that is not used retains each earlier table of the map, of which V8 creates one after some deletions.
  #restart(): void {
    this.#keys = this.keys()
    this.#oldest = undefined
    this.#age = 0
  }
}
