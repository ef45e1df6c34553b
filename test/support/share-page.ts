import { connect } from '../../src/client/index.ts'

// Runs in a page. The query of its URL names the tab, so that the server knows which tab has a connection.

/** An event that a page has received. */
export interface Arrival {
  readonly id: number
  readonly arrivedAt: number
}

/** The globals of the page. */
export interface SharePage {
  readonly location: { readonly search: string }
  arrivals: Arrival[]
  /** Whether the page was restored from the back/forward cache. */
  isRestored: boolean
  addEventListener(type: 'pageshow', listener: (event: { readonly persisted: boolean }) => void): void
}

const page = globalThis as unknown as SharePage
page.arrivals = []
page.isRestored = false
page.addEventListener('pageshow', ({ persisted }) => {
  page.isRestored = persisted
})
connect('/events', { share: true, headers: { tab: page.location.search } }).addEventListener(
  'message',
  ({ lastEventId }) => page.arrivals.push({ id: Number(lastEventId), arrivedAt: Date.now() }),
)
