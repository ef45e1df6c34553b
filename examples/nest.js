// NestJS: an application that closes its streams when it shuts down.
// Run `node examples/nest.js`, `curl -N` the URL that it prints, then press Ctrl-C. Plain Node has no decorators, so
// this file calls them as functions. TypeScript compiles `@Controller()` to the same calls.

import 'reflect-metadata'
import { Controller, Get, Inject, Module, Req, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createSseStream, gracefulShutdown, Hub } from 'spillway'

class Clock extends Hub {
  #timer = setInterval(() => this.channel('time').publish({ data: new Date() }), 250)

  // Nest calls this before it closes the server, and the server waits for open streams.
  async onModuleDestroy() {
    clearInterval(this.#timer)
    await this.shutdown()
  }
}

class TimeController {
  /** @param {Clock} clock */
  constructor(clock) {
    this.clock = clock
  }

  /** @param {import('express').Request} request @param {import('express').Response} response */
  streamTime(request, response) {
    this.clock.subscribe(createSseStream(request, response), 'time')
  }
}

Controller()(TimeController)
Inject(Clock)(TimeController, undefined, 0)
const { prototype } = TimeController
Get()(prototype, 'streamTime', { value: prototype.streamTime })
Req()(prototype, 'streamTime', 0)
Res()(prototype, 'streamTime', 1)

class AppModule {}
Module({ controllers: [TimeController], providers: [Clock] })(AppModule)

const app = await NestFactory.create(AppModule, { logger: ['error'] })
const server = app.getHttpServer()
gracefulShutdown({ server, hub: app.get(Clock), onClosed: () => app.close() })
await app.listen(process.env.PORT ?? 3000, '127.0.0.1')
console.log(`Streaming the time at http://localhost:${server.address().port}`)
