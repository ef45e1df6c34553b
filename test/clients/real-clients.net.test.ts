import { clientContract } from './contract.ts'
import { eventSource4Client, undiciClient } from './event-sources.ts'
import { fetchEventSourceClient } from './fetch-event-source.ts'

for (const client of [eventSource4Client, undiciClient, fetchEventSourceClient]) clientContract(client)
