import * as caching from './caching.ts'
import type { Check } from './check.ts'
import * as cors from './cors.ts'
import * as fields from './fields.ts'
import * as formats from './formats.ts'
import * as http2 from './http2.ts'
import * as limited from './limited.ts'
import * as methods from './methods.ts'
import * as response from './response.ts'

/** The checks of responses: status, headers, fields, methods, formats and protocols. */
export const RESPONSE_CHECKS: readonly Check[] = [
  response,
  http2,
  caching,
  fields,
  cors,
  methods,
  formats,
  limited,
].flatMap(checksOf)

// Omits the property `default`, which a module has in the CommonJS build.
function checksOf(checks: Readonly<Record<string, Check>>): Check[] {
  return Object.values(checks).filter((check) => typeof check === 'function')
}
