import { ChildProcess } from 'node:child_process'
import { Server, Socket } from 'node:net'

// Setup of the unit tests. A test that needs a socket or a process belongs into another project.

function refuse(): never {
  throw new Error('A unit test opens no socket and starts no process. Name the file *.net.test.ts.')
}

Server.prototype.listen = refuse
Socket.prototype.connect = refuse
Object.assign(ChildProcess.prototype, { spawn: refuse })
