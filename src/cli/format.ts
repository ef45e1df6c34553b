/** Returns a count with a space between thousands, such as `10 000`. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** Returns a duration with three digits, such as `0.42 ms`, `12.3 ms` or `1.24 s`. Longer ones have whole seconds. */
export function formatMs(ms: number): string {
  if (ms >= 99_950) return `${formatCount(ms / 1000)} s`
  if (ms >= 999.5) return `${(ms / 1000).toPrecision(3)} s`
  return `${ms >= 100 ? Math.round(ms) : ms.toFixed(ms >= 10 ? 1 : 2)} ms`
}

export function formatBytes(bytes: number): string {
  const [unit, size] = bytes >= 1e9 ? ['GB', 1e9] : bytes >= 1e6 ? ['MB', 1e6] : ['kB', 1e3]
  return `${(bytes / (size as number)).toFixed(1)} ${unit}`
}
