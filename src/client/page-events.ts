type Target = Partial<Pick<EventTarget, 'addEventListener'>>

/**
 * Calls a function when the page may have missed timers or the network may have changed, until a signal is aborted.
 * Outside of a browser, nothing emits these events.
 */
export function onPageEvent(listener: (isNetwork: boolean) => void, signal: AbortSignal): void {
  const page = globalThis as Target & {
    readonly document?: Target
    readonly navigator?: { readonly connection?: Target }
  }
  const watched: Array<[Target | undefined, string]> = [
    [page.document, 'visibilitychange freeze resume'],
    [page, 'pageshow online'],
    [page.navigator?.connection, 'change'],
  ]
  for (const [target, names] of watched)
    for (const name of names.split(' '))
      target?.addEventListener?.(name, () => listener(/^online|^change/.test(name)), { signal })
}
