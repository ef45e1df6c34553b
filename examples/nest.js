// A Nest application whose streams end with it: `node examples/nest.js`, `curl -N` what it prints, then Ctrl-C.
// Plain Node knows no decorators, so they are called here; TypeScript makes the same of `@Controller()`.

import 'reflect-metadata'
import { Controller, Get, Inject, Module, Req, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createSseStream, Hub } from 'spillway'

class Clock extends Hub {
  #timer = setInterval(() => this.channel('time').publish({ data: new Date() }), 250)

  // Nest calls this before it closes the server, which waits for open streams.
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
  follow(request, response) {
    this.clock.subscribe(createSseStream(request, response), ['time'])
  }
}

Controller()(TimeController)
Inject(Clock)(TimeController, undefined, 0)
const { prototype } = TimeController
Get()(prototype, 'follow', { value: prototype.follow })
Req()(prototype, 'follow', 0)
Res()(prototype, 'follow', 1)

class AppModule {}
Module({ controllers: [TimeController], providers: [Clock] })(AppModule)

const app = await NestFactory.create(AppModule, { logger: ['error'] })
app.enableShutdownHooks() // or Nest runs no hook when it is told to stop
await app.listen(process.env.PORT ?? 3000, '127.0.0.1')
console.log(`The time is told at http://localhost:${app.getHttpServer().address().port}`)
