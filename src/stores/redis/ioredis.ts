import { backoff } from './backoff.ts'
import type { Address, ConnectionListener, IoRedisClient, RedisConnection } from './connection.ts'

interface OwnIoRedis {
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  call(command: string, ...args: string[]): Promise<unknown>
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  disconnect(reconnect?: boolean): void
  readonly status: string
}

const OVERRIDES = {
  lazyConnect: true,
  enableOfflineQueue: false,
  // The keys of the store have the prefix already, and version 5 would also add it to arguments that are not keys.
  keyPrefix: '',
  // A sent command may have been executed, so resending it could execute it twice.
  autoResendUnfulfilledCommands: false,
  // The caller subscribes after each reconnect, to the channels that are still needed then.
  autoResubscribe: false,
  // A command fails as soon as the connection is lost, not only at its timeout.
  maxRetriesPerRequest: 0,
  // A blocking read takes longer than the commands that the user's timeouts are made for.
  commandTimeout: undefined,
  socketTimeout: undefined,
  retryStrategy: backoff,
  // A connection is ended if the server does not respond, or if no response is expected. Otherwise, a timer of two
  // seconds delays the next connection and the end of the process.
  disconnectTimeout: 0,
  // A replica accepts no events.
  role: 'master',
  readOnly: false,
}

/** Opens a connection with the settings of a client, which is not used itself, by default to the same server. */
export function openIoRedis(
  client: IoRedisClient,
  { onReady, onLost, onError }: ConnectionListener,
  address?: Address,
): RedisConnection {
  const own = client.duplicate({ ...OVERRIDES, ...address } as never) as OwnIoRedis
  // After `disconnect`, the status remains `ready` until the connection is closed.
  let isClosing = false
  own.on('ready', onReady)
  own.on('close', () => {
    isClosing = false
    onLost()
  })
  own.on('error', onError as never)
  own.connect().catch(onError)
  let isListening = false
  const isReady = () => own.status === 'ready' && !isClosing
  return {
    get isReady() {
      return isReady()
    },
    command: (command, ...args) => own.call(command as string, ...args),
    async subscribe(channels, listener) {
      if (!isListening)
        own.on('message', ((channel: string, text: string) => listener(text, channel)) as never)
      isListening = true
      await own.subscribe(...channels)
    },
    async unsubscribe(channels) {
      await own.unsubscribe(...channels)
    },
    reconnect() {
      if (!isReady()) return
      isClosing = true
      own.disconnect(true)
    },
    close: () => own.disconnect(),
  }
}
