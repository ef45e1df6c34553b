import type { Configuration } from './configuration.ts'
import type { Difference } from './differences.ts'
import type { Report } from './finding.ts'

/** The result of an examination with and without a proxy. */
export interface Comparison {
  /** The endpoint behind the proxy. */
  readonly proxied: Report
  /** The same endpoint without the proxy. */
  readonly direct: Report
  /** The proxies that only the response headers behind the proxy name. */
  readonly proxies: readonly string[]
  /** The findings first. */
  readonly differences: readonly Difference[]
  /** The configurations to add to these proxies. */
  readonly configurations: readonly Configuration[]
}
