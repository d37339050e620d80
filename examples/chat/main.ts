import type { FastifyInstance } from 'fastify'
import { choosePort, ownOrigins } from './address.js'
import { buildChat } from './app.js'
import { readConfig } from './config.js'

try {
  await start()
} catch (error) {
  process.stderr.write(`Chat can not start: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}

async function start(): Promise<void> {
  const config = await choosePort(readConfig(process.env))
  const app = await buildChat(config)
  if (config.isSecretRandom) app.log.warn('JWT_SECRET is not set: a random one is used, and tokens end with this process')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop(app))
  await app.listen({ host: config.host, port: config.port })
  process.stdout.write(`Chat is ready at ${ownOrigins(config)[0]}\n`)
}

async function stop(app: FastifyInstance): Promise<void> {
  try {
    await app.close()
  } catch (error) {
    process.stderr.write(`Chat did not end in order: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  }
}
