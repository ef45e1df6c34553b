// A registered symbol, because a program may load the ES module and the CommonJS build.
const PERMANENT = Symbol.for('spillway.permanent')

/** Marks an error that no retry can prevent, for example because of missing rights, and returns it. */
export function asPermanent<E extends Error>(error: E): E {
  return Object.defineProperty(error, PERMANENT, { value: true })
}

/** Whether a store has marked an error as permanent. */
export function isPermanentError(error: unknown): boolean {
  return (Object(error) as { [PERMANENT]?: unknown })[PERMANENT] === true
}
