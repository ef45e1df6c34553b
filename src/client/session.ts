// The session of a tab, across reloads, or the life of the module where there is no storage.
let storage: Record<string, string | undefined> = {}
try {
  storage = (globalThis as { sessionStorage?: typeof storage }).sessionStorage ?? storage
} catch {
  // Access throws where storage is disabled.
}

/** Returns a text that this session has stored, or an empty one. */
export function recall(key: string): string {
  return storage[`spillway:${key}`] ?? ''
}

/** Stores a text for this session. */
export function remember(key: string, text: string): void {
  try {
    storage[`spillway:${key}`] = text
  } catch {
    // The storage is full.
  }
}
