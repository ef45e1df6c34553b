import { chatContract } from './chat-contract.ts'
import { describeOnBrokers } from './run-brokers.ts'

describeOnBrokers((name, connect) => chatContract(`on ${name}`, connect))
