import { clientError } from './client-error.ts'
import { checkLength } from './parser.ts'
import type { StreamOwner } from './read-stream.ts'
import { bodyOf, type Requester, textOf } from './request.ts'

/** The response of a long poll. */
export interface Page {
  readonly events: ReadonlyArray<{
    readonly event?: string
    readonly id?: string
    readonly data?: unknown
    readonly retry?: number
  }>
  readonly lastEventId?: string | null
  /** When to poll again, in ms. */
  readonly retry?: number
}

/** Is notified of a page. */
interface PageOwner extends Pick<StreamOwner, 'onEvent' | 'onRead' | 'onRetry'> {
  readonly isClosed: boolean
  lastEventId: string
}

/**
 * Requests the events after an id. Resolves with undefined if the server has nothing more to send. A race does not wait long
 * for events, so that the transport is chosen soon on a quiet channel, but long enough for a slow stream to win.
 */
export async function requestPage(
  requester: Requester,
  id: string,
  isRace: boolean,
  signal: AbortSignal,
): Promise<Page | undefined> {
  const response = await requester.send(signal, 'default', ({ searchParams }, headers) => {
    searchParams.set('format', 'json')
    if (id) searchParams.set('lastEventId', id)
    if (isRace) searchParams.set('hold', '1000')
    headers.set('accept', 'application/json')
  })
  return response.status === 204 ? undefined : readPage(response)
}

/** Delivers the events of a page until the owner is closed. */
export function deliverPage({ events, lastEventId }: Page, owner: PageOwner): void {
  for (const { event, id, data, retry } of events) {
    if (owner.isClosed) return
    owner.lastEventId = String(id ?? owner.lastEventId)
    if (retry !== undefined) owner.onRetry(retry)
    const text = typeof data === 'string' ? data : JSON.stringify(data)
    if (text !== undefined) owner.onEvent({ event: event || 'message', id: owner.lastEventId, data: text })
  }
  if (!owner.isClosed) owner.onRead(String(lastEventId ?? owner.lastEventId))
}

// Reads a response, which is untrusted. Throws an `SseClientError`.
async function readPage(response: Response): Promise<Page> {
  let text = ''
  for await (const chunk of textOf(await bodyOf(response, /^application\/json/i))) {
    text += chunk
    checkLength(text)
  }
  try {
    const page = JSON.parse(text)
    // Throws for anything but a list of objects.
    page.events.map((event: object) => 'id' in event)
    return page
  } catch {
    throw clientError('ERR_SSE_FORMAT', `No page: ${text.slice(0, 99)}`, { isFinal: true })
  }
}
