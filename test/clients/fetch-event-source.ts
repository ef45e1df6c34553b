import { fetchEventSource } from '@microsoft/fetch-event-source'
import { vi } from 'vitest'
import type { ClientUnderTest } from './contract.ts'

class EndOfBody extends Error {}

/** `@microsoft/fetch-event-source` with stubs for the browser globals that it uses. It reconnects when a body ends. */
export const fetchEventSourceClient: ClientUnderTest = {
  name: '@microsoft/fetch-event-source',
  // The program decides whether it reconnects.
  ignoresStatus: true,
  // An empty first line of data is lost.
  misreads: (event) => ({ ...event, data: event.data === '\n' ? '' : event.data }),
  async connect(url, _names, { onEvent }) {
    vi.stubGlobal('window', globalThis)
    vi.stubGlobal('document', { addEventListener() {}, removeEventListener() {} })
    const controller = new AbortController()
    const over = fetchEventSource(url, {
      signal: controller.signal,
      onmessage: ({ event, data, id }) => onEvent({ type: event || 'message', data, lastEventId: id }),
      // Without an error, the end of a body ends the client.
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
