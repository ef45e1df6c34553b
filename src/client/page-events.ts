interface Page {
  readonly addEventListener?: EventTarget['addEventListener']
  readonly navigator?: { readonly connection?: Partial<EventTarget> }
}

/**
 * Calls a function when the page may have missed timers, or with `online` when the network may have changed, until a
 * signal is aborted. Only browsers emit these events.
 */
export function onPageEvent(listener: (name: string) => void, signal: AbortSignal): void {
  const page = globalThis as Page
  // Some events of the document do not bubble, but the window captures all of them.
  for (const name of ['visibilitychange', 'resume', 'pageshow', 'online'])
    page.addEventListener?.(name, () => listener(name), { signal, capture: true })
  page.navigator?.connection?.addEventListener?.('change', () => listener('online'), { signal })
}
