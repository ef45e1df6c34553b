import { expect, it } from 'vitest'
import type { NodeResponse } from '../../src/transports/node-response.ts'
import { WholeResponse } from '../../src/transports/whole-response.ts'

const SLICE = 64 * 1024

/** A response whose client reads the slices of its body one by one. */
class SlowResponse {
  readonly slices: number[] = []
  isEnded = false
  #read: Array<(error?: Error) => void> = []

  on(): this {
    return this
  }

  once(): this {
    return this
  }

  write(bytes: Buffer, written: (error?: Error) => void): boolean {
    this.slices.push(bytes.length)
    this.#read.push(written)
    return false
  }

  end(bytes: Buffer): void {
    this.slices.push(bytes.length)
    this.isEnded = true
  }

  read(error?: Error): void {
    this.#read.shift()?.(error)
  }
}

function open() {
  const response = new SlowResponse()
  const transport = new WholeResponse(response as unknown as NodeResponse, async () => {})
  let progress = 0
  const _drained = () => {
    progress += 1
  }
  transport.open({ _drained, _closed() {} })
  return { response, transport, progress: () => progress }
}

it('reports each slice of a large body that the client has read', () => {
  const { response, transport, progress } = open()
  transport.endWith(Buffer.alloc(2 * SLICE + 1))
  expect([response.slices, progress()]).toEqual([[SLICE], 0])
  response.read()
  expect([response.slices, progress(), response.isEnded]).toEqual([[SLICE, SLICE], 1, false])
  response.read()
  expect([response.slices, progress(), response.isEnded]).toEqual([[SLICE, SLICE, 1], 2, true])
})

it('ends at once with a small body', () => {
  const { response, transport } = open()
  transport.endWith(Buffer.alloc(SLICE))
  expect([response.slices, response.isEnded]).toEqual([[SLICE], true])
})

it('stops when the connection fails', () => {
  const { response, transport, progress } = open()
  transport.endWith(Buffer.alloc(2 * SLICE))
  response.read(new Error('closed'))
  expect([response.slices, progress(), response.isEnded]).toEqual([[SLICE], 0, false])
})
