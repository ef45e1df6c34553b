import { Hub } from '../../src/hub/hub.ts'
import { CLIENTS } from './event-sources.ts'
import { positionContract } from './positions.ts'

for (const client of CLIENTS)
  positionContract(client, { newLog: () => async () => new Hub(), isShared: false })
