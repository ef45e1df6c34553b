import { finding } from '../catalog.ts'
import { countText } from '../figures.ts'
import type { Check } from './check.ts'
import { isEventStream, isLimited } from './headers.ts'

export const limited: Check = ({ exchanges }) => {
  const all = Object.values(exchanges)
  const refused = all.filter(isLimited)
  if (!isEventStream(exchanges.main) || refused.length === 0) return []
  const statuses = [...new Set(refused.map(({ status }) => status))].sort().join(' or ')
  const message = `${refused.length} of ${countText(all.length, 'request')} were refused with the status ${statuses}, so that they could not be judged.`
  return [finding('limited', message)]
}
