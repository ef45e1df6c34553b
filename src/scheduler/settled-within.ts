import { Deadline } from './deadline.ts'

/** Resolves when work has succeeded or failed, at the latest after `ms`. Its error is ignored. */
export async function settledWithin(ms: number, work: Promise<unknown>): Promise<void> {
  let deadline: Deadline | undefined
  const timeOut = new Promise<void>((resolve) => {
    deadline = new Deadline(ms, resolve)
  })
  await Promise.race([work.catch(() => {}), timeOut])
  deadline?.cancel()
}
