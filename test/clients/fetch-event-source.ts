import { fetchEventSource } from '@microsoft/fetch-event-source'
import { vi } from 'vitest'
import type { ClientUnderTest } from './contract.ts'

class EndOfBody extends Error {}

/** `@microsoft/fetch-event-source`, with what it uses of a browser, as programs use it that want to come back. */
export const fetchEventSourceClient: ClientUnderTest = {
  name: '@microsoft/fetch-event-source',
  // What it does then, its program decides.
  ignoresStatus: true,
  // It takes a first line that is empty for none.
  misreads: (event) => ({ ...event, data: event.data === '\n' ? '' : event.data }),
  async connect(url, _names, { onEvent }) {
    vi.stubGlobal('window', globalThis)
    vi.stubGlobal('document', { addEventListener() {}, removeEventListener() {} })
    const controller = new AbortController()
    const over = fetchEventSource(url, {
      signal: controller.signal,
      onmessage: ({ event, data, id }) => onEvent({ type: event || 'message', data, lastEventId: id }),
      // It would be satisfied with the end of a body.
      onclose() {
        throw new EndOfBody()
      },
    })
    return async () => {
      controller.abort()
      await over
      vi.unstubAllGlobals()
    }
  },
}
