import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { attack } from '../fixtures/attack.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { needs } from '../fixtures/parts.js'
import { run } from '../fixtures/processes.js'
import { withHttps } from '../fixtures/server-options.js'

/** Asks by the real curl, twice on one connection where it can, and answers what it printed of each. */
async function curl(t: Test, origin: string, ...args: string[]): Promise<string[]> {
  const report = ['--silent', '--show-error', '--max-time', '10', '--write-out', ' %{http_code} %{http_version}\n', '--insecure']
  const { status, stdout, stderr } = await run('.', 'curl', [...report, ...args, `${origin}/rest`, `${origin}/rest`])
  t.match({ status, stderr }, { status: 0, stderr: '' }, 'curl is content')
  return stdout.trimEnd().split('\n')
}

function declare(app: FastifyInstance): void {
  app.get('/rest', async () => ({ got: true }))
  app.post('/rest', async ({ body }) => ({ posted: body }))
}

if (needs(t, 'curl') && needs(t, 'openssl')) {
  const twice = (line: string) => [line, line]

  attack('E10 curl --http2 gets REST routes by HTTP/1.1, and again on the same connection', { declare }, async (t, { port }) => {
    const origin = `http://127.0.0.1:${port}`
    t.same(await curl(t, origin, '--http2'), twice('{"got":true} 200 1.1'))
    const json = JSON.stringify({ text: 'x'.repeat(100_000) })
    const post = ['--http2', '--header', 'content-type: application/json', '--data', json]
    t.same(await curl(t, origin, ...post), twice(`{"posted":${json}} 200 1.1`))
  })

  const server = withHttps(await makeCertificate(t))
  attack('E10 curl --http2 gets REST routes over TLS', { server, declare }, async (t, { port }) => {
    t.same(await curl(t, `https://127.0.0.1:${port}`, '--http2'), twice('{"got":true} 200 1.1'))
  })
}
