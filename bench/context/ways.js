import { createServer } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import { createSseStream } from 'spillway'
import { sse } from 'spillway/express'
import { sse as webSse } from 'spillway/web'

let users = 0

// What an application knows about its client.
function newContext() {
  users += 1
  return { userId: users }
}

// What a stream keeps for `request` and `context` is released.
function release(stream) {
  Object.assign(stream, { request: undefined, context: undefined })
}

const keep = () => {}
const authorize = () => ({ context: newContext() })

const onNode = (optionsOf, onStream) => () =>
  createServer((request, response) => onStream(createSseStream(request, response, optionsOf?.())))
const onExpress = (handler, options) => () => createServer(express().use(sse(handler, options)))
const onHono = (handler, options) => () => createAdaptorServer({ fetch: webSse(handler, options) })

/** The servers, by the way in which a stream gets its context. */
export const WAYS = {
  'createSseStream: without': onNode(undefined, release),
  'createSseStream: request': onNode(undefined, keep),
  'createSseStream: request, context': onNode(() => ({ context: newContext() }), keep),
  'Express: without': onExpress(release),
  'Express: request': onExpress(keep),
  'Express: request, context of authorize': onExpress(keep, { authorize }),
  'Hono: without': onHono(release),
  'Hono: request': onHono(keep),
  'Hono: request, context of authorize': onHono(keep, { authorize }),
}
