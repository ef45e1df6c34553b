// The session of a tab, across reloads. Without `sessionStorage`, it lasts as long as the module.
let storage: Record<string, string | undefined> = {}
try {
  storage = (globalThis as { sessionStorage?: typeof storage }).sessionStorage ?? storage
} catch {
  // Access throws if storage is disabled.
}

/** Returns a text that this session has stored, or an empty one. */
export function readItem(key: string): string {
  return storage[`spillway:${key}`] ?? ''
}

/** Stores a text for this session. */
export function writeItem(key: string, text: string): void {
  try {
    storage[`spillway:${key}`] = text
  } catch {
    // The storage is full.
  }
}
