import { text } from 'node:stream/consumers'
import { sse } from '../../src/http/sse.ts'
import { serve } from '../support/serve.ts'
import { adapterContract, type ContractRequest } from './contract.ts'

// Long, because the adapters of the other frameworks share its code, and run the contract with each change.
adapterContract({
  name: 'node:http',
  sse,
  passesOn: false,
  keepsEarlierHeaders: true,
  cutsBody: true,
  async serve(handler, options) {
    const errors: unknown[] = []
    const listener = sse(
      (stream, request, response) => {
        const respond: ContractRequest['respond'] = (status, headers, body) => {
          const any = response as import('node:http').ServerResponse
          any.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', ...headers })
          return any.end(JSON.stringify(body))
        }
        return handler(stream, { body: () => text(request), respond }) as never
      },
      { ...options, onError: (error) => errors.push(error) },
    )
    const { server, port } = await serve((request, response) => {
      response.setHeader('Set-Cookie', 'earlier=1')
      return listener(request, response)
    })
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
    return { port, close, errors }
  },
})
