import { readFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import { DocsNotMade } from './errors.js'

const FOLDER = fileURLToPath(new URL('docs/', import.meta.url))

const FILES = [
  { name: '', type: 'text/html' },
  { name: 'main.js', type: 'text/javascript' },
  { name: 'main.css', type: 'text/css' },
  { name: 'document.json', type: 'application/json' }
] as const

/** As bytes, which all answers that are on their way share. */
type Docs = Readonly<Record<(typeof FILES)[number]['name'], Buffer>>

/**
 * Shows an AsyncAPI document at `/docs/`, by AsyncAPI's own component. What that stands on is installed in the folder `docs`, and
 * loaded when the page is first asked for.
 */
export function registerDocs(app: FastifyInstance, document: () => object): void {
  let docs: Promise<Docs> | undefined
  async function made(): Promise<Docs> {
    docs ??= makeDocs(document)
    try {
      return await docs
    } catch (error) {
      docs = undefined
      app.log.error({ err: error }, 'The page that shows the AsyncAPI document could not be made')
      throw new DocsNotMade()
    }
  }
  for (const { name, type } of FILES) {
    app.get(`/docs/${name}`, { schema: { hide: true } }, async (_request, reply) => {
      const bytes = (await made())[name]
      return reply.headers({ 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache' }).send(bytes)
    })
  }
}

async function makeDocs(document: () => object): Promise<Docs> {
  const { resolved } = await import('./docs/resolved.js')
  const [text, script, style, page] = await Promise.all([
    resolved(document()),
    bundled('main.tsx'),
    bundled('style.css'),
    readFile(`${FOLDER}index.html`)
  ])
  return { '': page, 'main.js': script, 'main.css': style, 'document.json': Buffer.from(text) }
}

async function bundled(name: string): Promise<Buffer> {
  const { outputFiles } = await build({
    absWorkingDir: FOLDER,
    entryPoints: [name],
    outdir: FOLDER,
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    logLevel: 'silent',
    define: { 'process.env.NODE_ENV': '"production"' },
    // of the parser only what reads a parsed document goes along: the rest compiles schemas by eval, which the page may not
    alias: { '@asyncapi/parser/cjs/document': '@asyncapi/parser/esm/document' },
    external: [...builtinModules]
  })
  return Buffer.concat(outputFiles.map(({ contents }) => contents))
}
