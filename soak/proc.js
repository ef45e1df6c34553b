import { readdirSync, readFileSync } from 'node:fs'

const KIB = 1024

/** Returns the number of open descriptors of a process. Needs Linux. */
export function descriptorsOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Returns how many descriptors a process may have. Node.js raises the soft limit to the hard limit. */
export function descriptorLimit() {
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])
}

/**
 * Returns the resident memory of a process by kind, in bytes. `brk` is the heap of `malloc`. `anonymous` is other
 * memory without a file, such as the heap of V8. `files` are the program and its libraries.
 */
export function residentPartsOf(pid) {
  const parts = { brk: 0, anonymous: 0, files: 0 }
  let part = 'anonymous'
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$/.exec(line)
    if (mapping) part = partOf(mapping[1])
    else if (line.startsWith('Rss:')) parts[part] += Number(/\d+/.exec(line)[0]) * KIB
  }
  return parts
}

function partOf(name) {
  if (name === '[heap]') return 'brk'
  return name.startsWith('/') ? 'files' : 'anonymous'
}
