import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { type Chat, connect, logIn, open, post, runChat, startChat } from './start-chat.js'

const JWT_SECRET = 'a secret of the tests that is long enough'

t.test('what can not be used stops the start with one line', async (t) => {
  const taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const cases = [
    { env: { PORT: 'abc' }, line: /^Chat can not start: PORT is 'abc'; allowed: [^\n]+\n$/ },
    { env: { PORT: port, JWT_SECRET }, line: /^Chat can not start: [^\n]*EADDRINUSE[^\n]+\n$/ }
  ]
  await Promise.all(
    cases.map(async ({ env, line }) => {
      const { code, stdout, stderr } = await runChat(env)
      t.equal(code, 1)
      t.equal(stdout, '')
      t.match(stderr, line)
    })
  )
})

t.test('I6 without settings it serves its own page, and SIGTERM tells open sockets to come back', async (t) => {
  // the loader of `npm start`; it takes longer than that of the tests
  const chat = await startChat(t, {}, '--import=tsx')
  t.match(chat.origin, /^http:\/\/127\.0\.0\.1:\d+$/)
  const token = await logIn(chat, 'ann')
  t.equal(await ticketStatus(chat, token, chat.origin), 201)
  t.equal(await ticketStatus(chat, token, chat.origin.replace('127.0.0.1', 'localhost')), 201)

  const { client } = await connect(t, chat, token)
  const ended = chat.stop('SIGTERM')
  t.match(await client.closed, { code: 1012 })
  const { code, stdout, stderr } = await ended
  t.equal(code, 0)
  t.equal(stdout, `Chat is ready at ${chat.origin}\n`)
  t.match(stderr, 'JWT_SECRET is not set', 'it was told that the secret is random')
})

t.test('secret and origins can be given, and SIGINT ends it, too', async (t) => {
  const chat = await startChat(t, { JWT_SECRET, ALLOWED_ORIGINS: 'https://chat.example.com' })
  const token = signToken({ sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60 })
  t.equal(await ticketStatus(chat, token, 'https://chat.example.com'), 201, 'another process may have signed the token')
  t.equal(await ticketStatus(chat, token, chat.origin), 403, 'its own origin is not listed')
  t.equal(await ticketStatus(chat, signToken({ sub: 'ann' }), 'https://chat.example.com'), 401, 'A7 a token has to end')
  const { code, stderr } = await chat.stop('SIGINT')
  t.equal(code, 0)
  t.equal(stderr, '', 'there was nothing to warn of')
})

t.test('with a certificate it speaks HTTPS and WSS', async (t) => {
  const { cert, certPath, keyPath } = makeCertificate(t)
  const chat = await startChat(t, { TLS_CERT: certPath, TLS_KEY: keyPath, HOST: 'localhost' })
  t.match(chat.origin, /^https:\/\/localhost:\d+$/)

  const login = await postTls(`${chat.origin}/login`, cert, {}, { name: 'ann' })
  t.match(login.headers['strict-transport-security'], 'max-age')
  t.match(login.headers['content-security-policy'], `connect-src 'self' ${chat.origin.replace('https', 'wss')}`)
  const headers = { authorization: `Bearer ${login.body.token}`, origin: chat.origin }
  const { body } = await postTls(`${chat.origin}/chat/ticket`, cert, headers, {})
  const client = open(t, chat, body.protocols, { ca: cert })
  t.match(await client.next(), { type: '$welcome' })
  t.strictSame((await client.request('room.join', { room: 'safe' })).payload, { members: ['ann'] })
})

async function ticketStatus(chat: Chat, token: string, origin: string): Promise<number> {
  const { status } = await post(chat, '/chat/ticket', { token, body: {}, headers: { origin } })
  return status
}

/** A JWT signed with HS256 (RFC 7515, appendix A.1). */
function signToken(claims: object): string {
  const parts = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const signed = parts.join('.')
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`
}

function makeCertificate(t: Test): { cert: Buffer; certPath: string; keyPath: string } {
  const dir = t.testdir()
  const [certPath, keyPath] = [`${dir}/cert.pem`, `${dir}/key.pem`]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath]
  execFileSync('openssl', ['req', '-x509', '-days', '1', ...key, '-out', certPath, ...subject], { stdio: 'ignore' })
  return { cert: readFileSync(certPath), certPath, keyPath }
}

interface TlsAnswer {
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: { readonly token: string; readonly protocols: string[] }
}

/** As fetch, which can not be told whom to trust. */
async function postTls(url: string, ca: Buffer, headers: Record<string, string>, body: object): Promise<TlsAnswer> {
  const sent = request(url, { method: 'POST', ca, headers: { ...headers, 'content-type': 'application/json' } })
  sent.end(JSON.stringify(body))
  const [response] = await once(sent, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { headers: response.headers, body: JSON.parse(Buffer.concat(chunks).toString()) }
}
