import type { Comparison } from './comparison.ts'
import { configurationOf } from './configuration.ts'
import { differencesOf } from './differences.ts'
import { examine } from './examine.ts'
import type { Report } from './finding.ts'
import { checkExamineOptions, type ExamineOptions, type Progress } from './options.ts'

/**
 * Examines an endpoint behind its proxy and without it at the same time, with the same requests. `url` leads through
 * the proxy, `directUrl` to the server.
 *
 * Rejects with `UsageError` `ERR_SSE_USAGE` if one of them cannot be examined at all, and with `SseError`
 * `ERR_SSE_OPTION`.
 */
export async function compare(
  url: string | URL,
  directUrl: string | URL,
  options: ExamineOptions = {},
): Promise<Comparison> {
  checkExamineOptions(options)
  const failed = new AbortController()
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])])
  const progress = new BothProgress(options.onProgress)
  const examinations = [
    examine(url, { ...options, signal, onProgress: progress.of('proxied') }),
    examine(directUrl, { ...options, signal, onProgress: progress.of('direct') }),
  ] as const
  try {
    const [proxied, direct] = await Promise.all(examinations)
    return comparisonOf(proxied, direct)
  } finally {
    failed.abort()
    // Wait for the other examination, so that no connection is open when the failure is reported.
    await Promise.allSettled(examinations)
  }
}

/** Compares two reports on one endpoint. */
export function comparisonOf(proxied: Report, direct: Report): Comparison {
  const proxies = proxied.proxies.filter((name) => !direct.proxies.includes(name))
  const configurations = proxies.flatMap((name) => configurationOf(name) ?? [])
  return { proxied, direct, proxies, differences: differencesOf(proxied, direct), configurations }
}

/** Reports the progress of two examinations as one. */
class BothProgress {
  readonly #report: ((progress: Progress) => void) | undefined
  readonly #last: { proxied?: Progress; direct?: Progress } = {}

  constructor(report: ((progress: Progress) => void) | undefined) {
    this.#report = report
  }

  of(side: 'proxied' | 'direct'): (progress: Progress) => void {
    return (progress) => {
      this.#last[side] = progress
      const { proxied, direct } = this.#last
      const steps = [proxied && `${proxied.step} (proxy)`, direct && `${direct.step} (direct)`]
      this.#report?.({ ...progress, step: steps.filter((each) => each !== undefined).join(', ') })
    }
  }
}
