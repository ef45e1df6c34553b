import type { Configuration } from './configuration.ts'
import type { Difference } from './differences.ts'
import type { Report } from './finding.ts'

/** The result of an examination with and without a proxy. */
export interface Comparison {
  /** The endpoint behind the proxy. */
  readonly proxied: Report
  /** The same endpoint without the proxy. */
  readonly direct: Report
  /** What the response headers behind the proxy name as proxies, and those without it do not. */
  readonly proxies: readonly string[]
  /** The findings first. */
  readonly differences: readonly Difference[]
  /** What to configure in these proxies. */
  readonly configurations: readonly Configuration[]
}
