import type { Check } from './check.ts'
import { DELIVERY_CHECKS } from './delivery-checks.ts'
import { RESPONSE_CHECKS } from './response-checks.ts'

/** All checks. Their order is that of findings of one level. */
export const CHECKS: readonly Check[] = [...RESPONSE_CHECKS, ...DELIVERY_CHECKS]
