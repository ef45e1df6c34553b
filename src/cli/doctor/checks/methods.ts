import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import type { Check } from './check.ts'
import { isEventStream, isLimited } from './headers.ts'

/** A server that has not responded to HEAD after this time, in ms, waits for an event. */
const MIN_HANG_TIME = 1_000

export const acceptRequired: Check = ({ exchanges: { main, anyAccept } }) => {
  if (!isEventStream(main) || !isRefused(anyAccept)) return []
  return [finding('accept-required', `The status is ${anyAccept.status} for an Accept of any type.`)]
}

export const llmAccept: Check = ({ exchanges: { main, llmAccept } }) => {
  if (!isEventStream(main) || !isRefused(llmAccept)) return []
  const message = `The status is ${llmAccept.status} for Accept: application/json.`
  // The SDKs of language models send POST.
  return [finding('llm-accept', message, main.method === 'POST' ? 'warning' : 'note')]
}

export const headHangs: Check = ({ exchanges: { main, head } }) => {
  const hasResponse = head === undefined || head.status !== undefined || head.end !== 'open'
  if (!isEventStream(main) || main.method !== 'GET' || hasResponse || head.endedAt < MIN_HANG_TIME) return []
  // An endpoint that is slow for GET is equally slow for HEAD.
  if (head.endedAt < 5 * (main.headersAt ?? Number.POSITIVE_INFINITY)) return []
  const waited = Math.floor(head.endedAt)
  return [finding('head-hangs', `There was no response to HEAD within ${waited} ms.`)]
}

export const headStatus: Check = ({ exchanges: { main, head } }) => {
  if (!isEventStream(main) || main.method !== 'GET' || head?.status === undefined) return []
  const { status } = head
  if (status < 300 || isLimited(head)) return []
  return [finding('head-status', `The status is ${status} for HEAD, and 200 for GET.`)]
}

function isRefused(exchange: Exchange | undefined): exchange is Exchange {
  return exchange?.status !== undefined && exchange.status >= 400 && !isLimited(exchange)
}
