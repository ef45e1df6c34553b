/** Adds up what all readers have received, and compares the readers of each run. */
export class Verdict {
  ends = { done: 0, error: 0, stopped: 0, lost: 0 }
  faults = []
  #authors
  #witness

  constructor(authors, witness) {
    this.#authors = authors
    this.#witness = witness
  }

  judge() {
    for (const { plan, generations } of this.#authors)
      for (const each of generations) this.#judgeGeneration(plan, each)
    this.faults.push(...this.#witness.faults)
  }

  /** Adds up a number over all readers. */
  sum(count) {
    return this.#authors.flatMap(({ readers }) => readers).reduce((total, reader) => total + count(reader), 0)
  }

  #judgeGeneration({ id }, { generation, readers, stopRequested, stoppedAt, startedAt }) {
    const name = `${id}/${generation}`
    const transcripts = readers.map(({ transcript }) => transcript)
    for (const { faults } of transcripts) this.faults.push(...faults)
    const ends = transcripts.map(({ end }) => end)
    if (ends.includes(undefined)) return this.#report('unfinished', `${name} after ${lastOf(transcripts)}`)
    const [end] = ends
    const certain = transcripts.filter(({ isUncertain }) => !isUncertain)
    const isSame = ends.every((each) => each === end) && certain.every(({ last }) => last === certain[0].last)
    if (!isSame) this.#report('contradictions', `${name}: ${ends} after ${lastOf(transcripts)}`)
    if (end === 'stopped' && !stopRequested) this.#report('wrong ends', `${name}: stopped without a request`)
    this.ends[end] += 1
    const reportedAt = end === 'stopped' && stoppedAt !== undefined ? [stoppedAt] : []
    const endedAt = Math.min(...readers.map((reader) => reader.endedAt), ...reportedAt)
    this.#witness.judge(id, generation, end, endedAt, startedAt)
  }

  #report(fault, text) {
    this.faults.push({ fault, text })
  }
}

function lastOf(transcripts) {
  return transcripts.map(({ last }) => last).join(', ')
}
