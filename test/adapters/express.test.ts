import { createRequire } from 'node:module'
import express, { type ErrorRequestHandler } from 'express'
import { sse } from '../../src/adapters/express.ts'
import { listen } from '../support/serve.ts'
import { type AdapterUnderTest, type AnyHandler, adapterContract } from './contract.ts'

function adapter(name: string, framework: typeof express): AdapterUnderTest {
  return {
    name,
    sse,
    passesOn: true,
    keepsEarlierHeaders: true,
    cutsBody: true,
    async serve(handler, options) {
      const errors: unknown[] = []
      const app = framework()
      app.use((_request, response, next) => {
        response.cookie('earlier', '1')
        next()
      })
      app.all('/stream', framework.text({ type: '*/*' }), handlerOf(handler, options))
      app.all('/stream', (_request, response) => void response.json({ json: true }))
      app.use(((error, _request, response, next) => {
        errors.push(error)
        if (response.headersSent) next(error)
        else response.status(500).json({ error: 'sorry' })
      }) satisfies ErrorRequestHandler)
      return { ...(await listen(app)), errors }
    },
  }
}

const handlerOf = (handler: AnyHandler, options: object | undefined) =>
  sse((stream, request) => handler(stream, { body: () => request.body }) as never, options)

adapterContract(adapter('Express 5', express))
// Its types are not installed twice.
adapterContract(adapter('Express 4', createRequire(import.meta.url)('express-4') as typeof express))
