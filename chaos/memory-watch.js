import { readFileSync } from 'node:fs'

const INTERVAL = 100
const MB = 1024 * 1024

/** Records the peak resident memory of server processes, over all their restarts. Only on Linux. */
export class MemoryWatch {
  /** In MB, for each server. */
  peaks
  #timer

  /** @param {readonly { pid: number | undefined }[]} servers */
  constructor(servers) {
    this.peaks = servers.map(() => 0)
    this.#timer = setInterval(() => {
      servers.forEach(({ pid }, i) => {
        this.peaks[i] = Math.max(this.peaks[i], peakOf(pid))
      })
    }, INTERVAL)
  }

  stop() {
    clearInterval(this.#timer)
  }
}

// A process may have ended.
function peakOf(pid) {
  try {
    const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Math.round((Number(kilobytes ?? 0) * 1024) / MB)
  } catch {
    return 0
  }
}
