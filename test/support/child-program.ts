import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** A process that uses the package. */
export interface ChildProgram {
  readonly child: ChildProcess
  /** The lines that the process has printed so far. */
  readonly lines: string[]
  /** Resolves with the rest of the first line that begins with a word, once it is printed. */
  printed(word: string): Promise<string>
  /** Stops the process. Resolves once it is stopped. */
  freeze(): Promise<void>
  /** Continues the process. */
  thaw(): void
}

/** Starts a program, which needs a build. It is killed after the test. */
export function startProgram(program: string, env: Record<string, string> = {}): ChildProgram {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
    env: { ...process.env, ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line))
  const find = (word: string) => lines.find((line) => line.split(' ', 1)[0] === word)
  return {
    child,
    lines,
    async printed(word) {
      await expect.poll(() => find(word) ?? lines).toEqual(expect.stringMatching(/^/))
      return find(word)?.slice(word.length + 1) ?? ''
    },
    async freeze() {
      child.kill('SIGSTOP')
      await expect.poll(() => stateOf(child.pid as number)).toBe('T')
    },
    thaw: () => void child.kill('SIGCONT'),
  }
}

// [POSIX] `ps -o state=`: T is stopped.
async function stateOf(pid: number): Promise<string> {
  const ps = spawn('ps', ['-o', 'state=', '-p', String(pid)])
  let text = ''
  ps.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(ps, 'close')
  return text.trim().slice(0, 1)
}
