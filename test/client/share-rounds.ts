import { expect } from 'vitest'
import type { Arrival } from '../support/share-page.ts'
import type { SharedTab, SharedTabs } from '../support/shared-tabs.ts'

/** Takes the leader away from the other tabs. */
export type Loss = (tabs: SharedTabs, leader: SharedTab) => Promise<void>

export const close: Loss = async (_tabs, leader) => {
  leader.isLost = true
  await leader.page.close()
}

/** Ends the process of the page without any event. */
export const crash: Loss = async (_tabs, leader) => {
  leader.isLost = true
  leader.devtools.send('Page.crash').catch(() => {})
}

export const freeze: Loss = async (_tabs, { devtools }) => {
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
}

/** Opens four tabs, and loses the leader in each round. Returns for how many ms no event arrived in another tab. */
export async function loseLeaders(tabs: SharedTabs, rounds: number, lose: Loss): Promise<number[]> {
  const takeovers: number[] = []
  for (let round = 0; round < rounds; round++) {
    while (tabs.remaining.length < 4) await tabs.open()
    const leader = await tabs.leaderElected()
    const [other] = tabs.remaining.filter((tab) => tab !== leader) as [SharedTab]
    await tabs.receivedAll(other)
    await lose(tabs, leader)
    await expect.poll(() => tabs.leader !== undefined && tabs.leader !== leader).toBe(true)
    takeovers.push(longestSilence(await tabs.receivedAll(other)))
    if (!leader.isLost) await leader.devtools.send('Page.setWebLifecycleState', { state: 'active' })
    for (const tab of tabs.remaining) await tabs.receivedAll(tab)
  }
  return takeovers
}

/** Returns the longest time between two arrivals, in ms. */
function longestSilence(arrivals: readonly Arrival[]): number {
  const times = arrivals.map(({ arrivedAt }) => arrivedAt)
  return Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? time)))
}

/** Returns a summary of times in ms. */
export function summary(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  return `median ${sorted[Math.floor(sorted.length / 2)]} ms, longest ${sorted.at(-1)} ms of ${sorted.length}`
}
