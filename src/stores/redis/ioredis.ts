import { backoff } from './backoff.ts'
import type { ConnectionListener, IoRedisClient, RedisConnection } from './connection.ts'

interface OwnIoRedis {
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  call(command: string, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(reconnect?: boolean): void
  readonly status: string
}

const OVERRIDES = {
  lazyConnect: true,
  enableOfflineQueue: false,
  // Keys come with it: version 5 puts it before what is no key too.
  keyPrefix: '',
  // A command that was sent may have been done: sent again, it would be done twice.
  autoResendUnfulfilledCommands: false,
  // What waits for an answer fails when the connection is lost, and not only when the time for it is over.
  maxRetriesPerRequest: 0,
  // A read waits for longer than a command of the user's may take.
  commandTimeout: undefined,
  socketTimeout: undefined,
  retryStrategy: backoff,
}

export function openIoRedis(
  client: IoRedisClient,
  { onReady, onLost, onError }: ConnectionListener,
): RedisConnection {
  const own = client.duplicate(OVERRIDES as never) as OwnIoRedis
  own.on('ready', onReady)
  own.on('close', onLost)
  own.on('error', onError as never)
  own.connect().catch(onError)
  let isListening = false
  return {
    get isReady() {
      return own.status === 'ready'
    },
    command: (command, ...args) => own.call(command as string, ...args),
    async subscribe(channel, listener) {
      if (!isListening) own.on('message', ((_channel: string, text: string) => listener(text)) as never)
      isListening = true
      await own.subscribe(channel)
    },
    reconnect() {
      if (own.status === 'ready') own.disconnect(true)
    },
    close: () => own.disconnect(),
  }
}
