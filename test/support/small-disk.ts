import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, onTestFinished } from 'vitest'

// Brokers need less than half of it before the tests fill it.
const SIZE = '8m'
const FILLER = 'filler'

/** A file system of a few megabytes, which a test fills. */
export interface SmallDisk {
  readonly folder: string
  /** Writes until no block is free. The last block of each file may still have room. */
  fill(): void
  /** Deletes the file that `fill` has written. */
  free(): void
  /** Makes it read-only, which fails while a file is open for writing, or writable again. */
  remount(mode: 'ro' | 'rw'): void
}

/** Defines tests on a `SmallDisk`. They are skipped where no file system can be mounted. */
export const describeOnSmallDisk = describe.skipIf(!canMount())

/**
 * Mounts a file system that is unmounted after the test. Brokers on it MUST be started later, so that they end before.
 */
export function mountSmallDisk(): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-disk-'))
  mount(folder, `size=${SIZE}`)
  onTestFinished(() => unmount(folder))
  const filler = join(folder, FILLER)
  return {
    folder,
    fill() {
      while (statfsSync(folder).bavail > 0) append(filler)
    },
    free: () => rmSync(filler),
    remount: (mode) => mount(folder, `remount,size=${SIZE},${mode}`),
  }
}

function append(file: string): void {
  try {
    appendFileSync(file, Buffer.alloc(4_096))
  } catch (error) {
    // A broker has filled the disk in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function mount(folder: string, options: string): void {
  const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
  if (status !== 0) throw new Error(`mount failed: ${error?.message ?? stderr}`)
}

function unmount(folder: string): void {
  // Lazy, because a process that has just ended may still have a file open.
  spawnSync('umount', ['--lazy', folder])
  rmSync(folder, { recursive: true, force: true })
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-disk-'))
  try {
    mount(folder, 'size=64k')
    return true
  } catch (error) {
    console.warn(
      `Tests on a small disk are skipped, because they need root on Linux: ${(error as Error).message}`,
    )
    return false
  } finally {
    unmount(folder)
  }
}
