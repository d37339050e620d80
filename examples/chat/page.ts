import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import { buildSync } from 'esbuild'
import type { FastifyInstance } from 'fastify'

const PUBLIC = fileURLToPath(new URL('public/', import.meta.url))
const SCRIPT = fileURLToPath(new URL('page/main.ts', import.meta.url))

/** Serves the page. Its script is bundled here, with the client, so that there is no build to be run before. */
export async function registerPage(app: FastifyInstance): Promise<void> {
  const { outputFiles } = buildSync({ entryPoints: [SCRIPT], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false })
  const script = outputFiles.map(({ text }) => text).join('')
  app.get('/page.js', { schema: { hide: true } }, async (_request, reply) => {
    return reply.headers({ 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache' }).send(script)
  })
  await app.register(fastifyStatic, { root: PUBLIC, wildcard: false })
}
