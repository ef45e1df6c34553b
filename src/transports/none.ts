import type { Transport } from './transport.ts'

/** The way out of a stream that was over before it began. */
export const noTransport: Transport = {
  open() {},
  write: () => false,
  end() {},
  destroy() {},
}
