import { randomUUID } from 'node:crypto'
import { isBatch } from '../../is-batch.ts'
import { parsedJson } from '../../log-entry.ts'
import { lastNumberOf } from '../../run-batch.ts'
import type { RunBatch, RunEvent, RunState, StoredBatch } from '../../run-store.ts'

/** The content of a message. Each message describes its run, so that the newest one is sufficient to find it. */
export interface RunRecord extends RunBatch {
  readonly epoch: string
  readonly owner: string
  /** The time from the start of the run to this message, in ms. */
  readonly age: number
  /** How long the run is kept from its start, in ms. */
  readonly maxAge: number
  /** In the last message, how long the run is kept after it, in ms. */
  readonly keep?: number | undefined
}

/** A message of a run as it is stored. */
export interface StoredRecord {
  readonly sequence: number
  /** When the server stored it, in ms since 1970. */
  readonly time: number
  /** Undefined if another program has written the message. */
  readonly record: RunRecord | undefined
}

const NONCE_LENGTH = 8
const EPOCH = /^[0-9a-f]{8}[0-9a-z]{0,11}$/

/**
 * Returns the random part of an epoch. It is needed because a server that lost its newest messages assigns sequences
 * again.
 */
export function newNonce(): string {
  return randomUUID().slice(0, NONCE_LENGTH)
}

/** Returns the epoch of the run whose first message has a sequence. */
export function epochAt(nonce: string, sequence: number): string {
  return nonce + placeOf(sequence)
}

export function isOfNonce(epoch: string, nonce: string): boolean {
  return epoch.startsWith(nonce)
}

/** Returns the sequence of the first message of a run. */
export function startOf(epoch: string): number {
  return Number.parseInt(epoch.slice(NONCE_LENGTH), 36)
}

/** Returns a sequence as the place of a batch. */
export function placeOf(sequence: number): string {
  return sequence.toString(36)
}

/** Returns the sequence of an untrusted place, or undefined if no sequence is spelled like this. */
export function sequenceAt(place = ''): number | undefined {
  return /^[1-9a-z][0-9a-z]{0,9}$/.test(place) ? Number.parseInt(place, 36) : undefined
}

export function stateOf(record: RunRecord): RunState {
  const { epoch, owner, end } = record
  return { epoch, owner, last: lastNumberOf(record), end }
}

export function batchOf({ first, events, end }: RunRecord, sequence: number): StoredBatch {
  return { first, events, end, place: placeOf(sequence) }
}

/** Returns when a run is removed if a record is its newest, in ms since 1970 on the clock of the server. */
export function expiryOf({ age, maxAge, keep }: RunRecord, time: number): number {
  return keep === undefined ? time - age + maxAge : time + keep
}

export function isSameBatch(a: RunBatch, b: RunBatch): boolean {
  const textOf = ({ first, events, end }: RunBatch) => JSON.stringify([first, end, events.map(fieldsOf)])
  return textOf(a) === textOf(b)
}

export function encodeRecord({ epoch, owner, age, maxAge, keep, first, end, events }: RunRecord): string {
  return JSON.stringify({ epoch, owner, age, maxAge, keep, first, end, events: events.map(fieldsOf) })
}

/** Returns the record of a message, or undefined if another program has written it. */
export function decodeRecord(payload: string, sequence: number): RunRecord | undefined {
  const record = Object(parsedJson(payload)) as Partial<RunRecord>
  if (!isRecord(record)) return undefined
  // The start of a run is written before its sequence is known.
  return record.events.length > 0 ? record : { ...record, epoch: epochAt(record.epoch, sequence) }
}

function isRecord(record: Partial<RunRecord>): record is RunRecord {
  const { epoch, owner, age, maxAge, keep = 0 } = record
  return (
    typeof epoch === 'string' &&
    EPOCH.test(epoch) &&
    typeof owner === 'string' &&
    [age, maxAge, keep].every((time) => Number.isFinite(time) && (time as number) >= 0) &&
    isBatch(record)
  )
}

function fieldsOf({ event, data, isText, retry }: RunEvent): RunEvent {
  return { event, data, isText, retry }
}
