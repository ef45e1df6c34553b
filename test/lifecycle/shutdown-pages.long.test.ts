import { deployContract } from './deploy-contract.ts'

// The others are in `shutdown.long.test.ts`.
deployContract(['http', 'http2', 'hono', 'hono without server'])
