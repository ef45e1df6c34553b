import { deployContract } from './deploy-contract.ts'

deployContract(['https', 'express', 'express without server', 'koa', 'fastify', 'nest'])
