import { completionContract } from './completion-contract.ts'
import { describeOnBrokers } from './run-brokers.ts'

describeOnBrokers((name, connect) => completionContract(`on ${name}`, connect))
