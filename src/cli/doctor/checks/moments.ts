import type { Exchange, SeenComment, SeenEvent } from '../exchange.ts'

/** Events and comments that arrived together. */
export interface Moment {
  /** When the first of them arrived, in ms since the request was sent. */
  readonly at: number
  readonly events: readonly SeenEvent[]
  readonly comments: readonly SeenComment[]
}

// Chunks that are written together arrive within this time.
const TOGETHER = 30

/** Returns the moments at which events and comments arrived. */
export function momentsOf({ events, comments }: Exchange): Moment[] {
  const moments: Array<{ at: number; last: number; events: SeenEvent[]; comments: SeenComment[] }> = []
  const items = [
    ...events.map((event) => ({ at: event.at, event, comment: undefined })),
    ...comments.map((comment) => ({ at: comment.at, event: undefined, comment })),
  ].sort((a, b) => a.at - b.at)
  for (const { at, event, comment } of items) {
    let moment = moments.at(-1)
    if (!moment || at - moment.last > TOGETHER) {
      moment = { at, last: at, events: [], comments: [] }
      moments.push(moment)
    }
    moment.last = at
    if (event) moment.events.push(event)
    if (comment) moment.comments.push(comment)
  }
  return moments
}

// How long a server may send its history at the beginning of a stream, in ms.
const BEGINNING = 500

/** Returns the moments after the beginning of a stream. */
export function liveMoments(exchange: Exchange): Moment[] {
  const moments = momentsOf(exchange)
  return moments.filter(({ at }) => at > (moments[0]?.at ?? 0) + BEGINNING)
}
