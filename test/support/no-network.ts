import { ChildProcess } from 'node:child_process'
import { Server, Socket } from 'node:net'

// Setup of the unit tests. A test that needs a socket or a process belongs to another project.

function reject(): never {
  throw new Error('A unit test must not open a socket or start a process. Name the file *.net.test.ts.')
}

Server.prototype.listen = reject
Socket.prototype.connect = reject
Object.assign(ChildProcess.prototype, { spawn: reject })
