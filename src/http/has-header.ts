import type { Settings } from './options.ts'

/** Whether a header is one of some headers, ignoring case. */
export function hasHeader(headers: Settings['headers'], name: string): boolean {
  return Object.keys(headers).some((each) => each.toLowerCase() === name.toLowerCase())
}
