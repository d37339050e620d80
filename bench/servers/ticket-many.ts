/** This plugin for many connections, of which most are idle. With the argument `cache` the app's @fastify/jwt keeps what it has verified. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import { wsTicket } from '../../src/index.js'
import { answer } from '../answer.js'
import { NEWS_TEXT, ORIGIN, SECRET, WIDE } from '../settings.js'
import { contract } from './contract.js'
import { portOf } from './port.js'

const app = Fastify()
await app.register(fastifyJwt, { secret: SECRET, verify: { cache: process.argv[2] === 'cache' } })
await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...WIDE })
const route = app.wsRoute('/bench', {
  contract,
  handlers: { echo: ({ text }) => ({ text }), later: async ({ text }) => ({ text }) }
})
await app.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
answer(
  { port: portOf(app.server) },
  {
    /** Each connection gets so many topics; of its own, or the same for all. */
    subscribe({ topics, areOwn }: { readonly topics: number; readonly areOwn: boolean }) {
      for (const connection of route.connections()) {
        for (let topic = 0; topic < topics; topic++) connection.subscribe(areOwn ? `${connection.id} ${topic}` : `topic ${topic}`)
      }
      return { connections: route.connections().length }
    },
    /** The first connections become the members of a topic. */
    gather({ members }: { readonly members: number }) {
      for (const connection of route.connections().slice(0, members)) connection.subscribe('some')
      return {}
    },
    /** Publishes to them, so often, once in a turn; answers the CPU time that it took. */
    async publish({ times }: { readonly times: number }) {
      const before = process.cpuUsage()
      let delivered = 0
      for (let i = 0; i < times; i++) {
        delivered += route.publish('some', 'news', { text: NEWS_TEXT }).delivered
        await nextTurn()
      }
      const { user, system } = process.cpuUsage(before)
      return { delivered, ms: (user + system) / 1000 }
    }
  }
)
