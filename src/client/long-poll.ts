import { clientError } from './client-error.ts'
import { checkLength } from './parser.ts'
import type { StreamOwner } from './read-stream.ts'
import { type Body, readText } from './request.ts'

/** Receives the contents of a page. */
type PageOwner = Pick<StreamOwner, 'lastEventId' | 'onEvent' | 'onRead' | 'onRetry'>

/** The response of a long poll. */
export interface Page {
  readonly events: ReadonlyArray<{
    readonly event?: string
    readonly id?: string
    readonly data?: unknown
    readonly retry?: number
  }>
  readonly lastEventId?: string | null
  /** The delay of the next poll, in ms. */
  readonly retry?: number
}

/** Delivers the events of a page until a signal is aborted. */
export function deliverPage(page: Page, owner: PageOwner, signal: AbortSignal): void {
  for (const { event, id, data, retry } of page.events) {
    if (signal.aborted) return
    owner.lastEventId = String(id ?? owner.lastEventId)
    owner.onRetry(retry)
    const text = typeof data === 'string' ? data : JSON.stringify(data)
    if (text !== undefined) owner.onEvent({ event: event || 'message', id: owner.lastEventId, data: text })
  }
  if (signal.aborted) return
  owner.lastEventId = String(page.lastEventId ?? owner.lastEventId)
  owner.onRead()
}

/** Reads the body of a response, which is untrusted. Throws an `SseClientError`. */
export async function readPage(body: Body): Promise<Page> {
  let text = ''
  await readText(body, (part) => {
    text += part
    checkLength(text)
  })
  try {
    const page = JSON.parse(text)
    // Throws for any value except a list of objects.
    page.events.map((event: object) => 'id' in event)
    return page
  } catch {
    throw clientError('ERR_SSE_FORMAT', `No page: ${text.slice(0, 99)}`, { isFinal: true })
  }
}
