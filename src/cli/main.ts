#!/usr/bin/env node
import { createRequire } from 'node:module'
import { type Command, EXIT } from './command.ts'
import { nearMiss } from './near-miss.ts'
import { printable } from './printable.ts'
import { print, processTerminal, type Terminal } from './terminal.ts'
import { UsageError } from './usage-error.ts'

// Loaded on demand, because each command has modules of its own.
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  doctor: async () => (await import('./doctor/command.ts')).doctor,
  load: async () => (await import('./load/command.ts')).load,
  // The help omits this command, because only `load` runs it.
  'load-worker': async () => (await import('./load/worker.ts')).loadWorker,
}

const HELP = `Usage: npx spillway <command> [options]

Commands:
  doctor <url>   Examines an event stream through all proxies in front of it, and shows the changes to make.
  load <url>     Opens many streams, and reports delays, and events that were lost, repeated or out of order.

npx spillway <command> --help shows the options of a command.
npx spillway --version prints the version.
`

async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [first = '', ...others] = args.filter((arg) => arg !== '--no-color')
  const isHelp = ['help', '--help', '-h'].includes(first)
  const [name = '', rest] = isHelp ? [others[0], ['--help']] : [first, others]
  if (name === '') {
    await print(isHelp ? terminal.out : terminal.err, HELP)
    return isHelp ? EXIT.ok : EXIT.unusable
  }
  if (name === '--version' || name === '-v') {
    await print(terminal.out, `${version()}\n`)
    return EXIT.ok
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!load) throw new UsageError(unknownCommand(name))
  const command = await load()
  if (isHelpWanted(rest)) {
    await print(terminal.out, command.help)
    return EXIT.ok
  }
  return command.run(rest, terminal)
}

/** Returns the version of the package, whose root is three folders above this module in `dist/esm`. */
function version(): string {
  return createRequire(import.meta.url)('../../../package.json').version
}

function isHelpWanted(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const flags = end === -1 ? args : args.slice(0, end)
  return flags.includes('--help') || flags.includes('-h')
}

function unknownCommand(name: string): string {
  if (/^https?:/i.test(name)) return `A command is missing before the URL. Did you mean doctor ${name}?`
  const near = nearMiss(name, Object.keys(COMMANDS))
  const hint = near ? `Did you mean ${near}?` : 'The commands are doctor and load.'
  return `Unknown ${name.startsWith('-') ? 'flag' : 'command'} ${name}. ${hint}`
}

/** Returns one line for a wrong command line or an unusable target, and the stack for a bug of the program. */
function describe(error: unknown): string {
  if (error instanceof UsageError) return printable(error.message)
  return error instanceof Error && error.stack ? error.stack : String(error)
}

const controller = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())

// The reader of a pipe may close it early, as in `npx spillway doctor … | head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}

const args = process.argv.slice(2)
const terminal = processTerminal(args, controller.signal)

main(args, terminal).then(
  (status) => {
    process.exitCode = status
  },
  (error: unknown) => {
    terminal.err.write(`spillway: ${describe(error)}\n`)
    process.exitCode = EXIT.unusable
  },
)
