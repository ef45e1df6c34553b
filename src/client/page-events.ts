type Target = Partial<Pick<EventTarget, 'addEventListener'>>

// The objects of a browser. Outside of one, they are absent or emit nothing.
const page = globalThis as Target & {
  readonly document?: Target
  readonly navigator?: { readonly connection?: Target }
}

/** Calls a function when the page may have missed timers, until a signal is aborted. */
export function onWake(listener: () => void, signal: AbortSignal): void {
  for (const name of ['visibilitychange', 'freeze', 'resume', 'pageshow', 'online'])
    for (const target of [page, page.document]) target?.addEventListener?.(name, listener, { signal })
}

/** Calls a function when the network may have changed, until a signal is aborted. */
export function onNetworkChange(listener: () => void, signal: AbortSignal): void {
  page.addEventListener?.('online', listener, { signal })
  page.navigator?.connection?.addEventListener?.('change', listener, { signal })
}
