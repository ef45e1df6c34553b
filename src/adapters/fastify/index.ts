export { spillwayPlugin } from './plugin.ts'
export { sse } from './sse.ts'
