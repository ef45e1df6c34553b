import { describe, test } from 'vitest'
import { type OpenStore, type StoreTraits, storeContract } from '../../src/testing/store-contract.ts'

/** Runs the exported contract suite in vitest. */
export function logContract(name: string, open: OpenStore, traits?: StoreTraits): void {
  storeContract({ describe, test }, name, open, traits)
}
