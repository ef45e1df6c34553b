const memory: Record<string, string | undefined> = {}

/** Returns a text that this session has stored, or an empty one. */
export function recall(key: string): string {
  return storage()[`spillway:${key}`] ?? ''
}

/** Stores a text for the session of a tab, across reloads, or for the life of the module where there is no storage. */
export function remember(key: string, text: string): void {
  try {
    storage()[`spillway:${key}`] = text
  } catch {
    // The storage is full.
  }
}

function storage(): Record<string, string | undefined> {
  try {
    return (globalThis as unknown as { sessionStorage?: typeof memory }).sessionStorage ?? memory
  } catch {
    // Access throws where storage is disabled.
    return memory
  }
}
