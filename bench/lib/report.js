import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { isPinned } from './child.js'

const PEERS = [
  'better-sse',
  'eventsource-encoder',
  'hono',
  '@hono/node-server',
  'fastify',
  '@fastify/sse',
  'express',
]

/** Prints the machine and the versions of the contenders. */
export function printSetting(title) {
  console.log(`## ${title}\n`)
  console.log(
    `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${release()}, Node ${process.version}`,
  )
  console.log(`${PEERS.map((name) => `${name} ${versionOf(name)}`).join(', ')}`)
  console.log(
    isPinned() ? 'server on core 0, clients on core 1\n' : 'without taskset, all processes share the cores\n',
  )
}

function versionOf(name) {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}

/** Prints rows of cells as a Markdown table with padded columns. */
export function printTable(header, rows) {
  const lines = [header, ...rows].map((row) => row.map(String))
  const widths = header.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  const print = (cells) => console.log(`| ${cells.join(' | ')} |`)
  const pad = (line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
  print(pad(lines[0]))
  print(widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)))
  for (const line of lines.slice(1)) print(pad(line))
  console.log()
}

/** Prints whether a target is met. */
export function printTarget(text, value, limit, unit = '') {
  const verdict = value <= limit ? 'met' : 'MISSED'
  console.log(`Target: ${text}: ${value.toFixed(2)}${unit}, at most ${limit}${unit}: ${verdict}`)
}

export function fixed(digits) {
  return (value) => value.toFixed(digits)
}
