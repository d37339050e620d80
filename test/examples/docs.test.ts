import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { resolved } from '../../examples/chat/docs/resolved.js'
import { registerDocs } from '../../examples/chat/docs.js'
import { faultsOf, lookUp } from '../fixtures/asyncapi.js'
import { launchBrowser } from '../fixtures/browser.js'
import { describe, routes } from '../fixtures/described-contracts.js'
import { needs } from '../fixtures/parts.js'
import { startChat } from './start-chat.js'

// every test here uses the same process
const chat = await startChat(t)

async function fetched(url: string) {
  return JSON.parse(await (await fetch(url)).text())
}

/** What a URL with a JSON Pointer leads to. */
async function follow(url: string): Promise<unknown> {
  const { origin, pathname, hash } = new URL(url)
  t.equal(origin, chat.origin)
  return lookUp(await fetched(origin + pathname), hash)
}

t.test('the AsyncAPI document of the chat is valid', async (t) => {
  const document = await fetched(`${chat.origin}/asyncapi.json`)
  t.same(faultsOf(document), [])
  t.match(document.servers.chat, { host: new URL(chat.origin).host, protocol: 'ws' })
  t.match(Object.keys(document.operations), [
    'chat.receive.room.join',
    'chat.receive.room.leave',
    'chat.receive.chat.send',
    'chat.send.chat.message'
  ])
})

t.test('the ticket route in OpenAPI and the channel in AsyncAPI lead to each other', async (t) => {
  const openapi = await fetched(`${chat.origin}/openapi.json`)
  const asyncapi = await fetched(`${chat.origin}/asyncapi.json`)
  const route = openapi.paths['/chat/ticket'].post
  const channel = asyncapi.channels.chat
  t.match(route.summary, 'ticket')
  t.equal(channel.address, '/chat')
  t.same(await follow(route.externalDocs.url), channel)
  t.same(await follow(channel.externalDocs.url), route)
  t.equal(channel['x-ticket'].openapi, channel.externalDocs.url)
  t.same(await follow(openapi.externalDocs.url), asyncapi)
})

t.test('the official parser has nothing to object to, in documents of all kinds of contracts', async (t) => {
  const documents = [
    await fetched(`${chat.origin}/asyncapi.json`),
    await describe(t, routes),
    await describe(t, routes, { ticketTransport: ['subprotocol', 'query'], authenticate: () => ({ sub: 'ann' }) })
  ]
  for (const document of documents) {
    const { operations } = JSON.parse(await resolved(document))
    t.same(Object.keys(operations), Object.keys(document.operations))
  }
  await t.rejects(resolved({ asyncapi: '3.0.0' }), /info/)
})

t.test('the page is served, and nothing else of its folder', async (t) => {
  for (const name of ['package.json', 'node_modules/react/package.json', 'resolved.ts', 'index.html']) {
    t.equal((await fetch(`${chat.origin}/docs/${name}`)).status, 404, name)
  }
})

function raise(): never {
  throw new Error('unreadable')
}

t.test('without what it is shown by, the page says what to do, and the log says why', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { stream: { write: (line) => lines.push(line) } } })
  t.teardown(() => app.close())
  const documents = [() => ({ asyncapi: '3.0.0' }), raise]
  registerDocs(app, () => documents.shift()?.() ?? {})
  for (const reason of ['The document is not valid', 'unreadable']) {
    const answer = await app.inject('/docs/')
    t.equal(answer.statusCode, 503)
    t.match(answer.json(), { code: 'CHAT_DOCS_NOT_MADE', message: '`npm run setup`' })
    t.match(lines.splice(0).join(''), reason)
  }
})

t.test('a page shows all of the document under the strict policy, in light and in dark', async (t) => {
  if (!needs(t, 'chromium')) return
  const browser = await launchBrowser(t)
  const document = await fetched(`${chat.origin}/asyncapi.json`)
  const backgrounds = new Set<string>()
  for (const colorScheme of ['dark', 'light'] as const) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 390, height: 800 } })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => request.url().startsWith(chat.origin) || complaints.push(request.url()))
    const response = await page.goto(`${chat.origin}/docs/`)
    t.match(response?.headers()['content-security-policy'], /^default-src 'self';(?!.*unsafe)/)
    await page.waitForSelector('.message')
    t.equal(await page.title(), 'Chat')
    t.same(await operationsOf(page), Object.keys(document.operations))
    backgrounds.add(String(await page.evaluate('getComputedStyle(document.body).backgroundColor')))
    if (colorScheme === 'light') await showsAll(t, page)
    t.same(complaints, [])
    await page.close()
  }
  t.equal(backgrounds.size, 2)

  const other = await describe(t, routes)
  const body = await resolved(other)
  const page = await browser.newPage()
  await page.route('**/docs/document.json', (route) => route.fulfill({ body, contentType: 'application/json' }))
  page.on('pageerror', (error) => t.fail(error.message))
  await page.goto(`${chat.origin}/docs/`)
  await page.waitForSelector('.message')
  t.same(await operationsOf(page), Object.keys(other.operations), 'every kind of contract is shown')
})

/** The rest is shown by what a reader opens. */
async function showsAll(t: Test, page: Page): Promise<void> {
  await openAll(page)
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 390, 'fits a phone')
  const text = await page.locator('main').innerText()
  for (const shown of SHOWN) t.match(text, shown)
}

/** What only the right parts of the page can say. */
const SHOWN = [
  /^chat\.send 10 in 10 s, 10 at once, per user$/m,
  /^\[ 1 \.\. 500 \] characters$/m,
  /^must match: \^\[A-Za-z0-9\]/m,
  /^ *"members": \[$/m,
  /^maxPayload\s65536$/m,
  /^POST \/chat\/ticket with your token/m,
  /^FST_WS_TICKET_RATE_LIMITED\s429\s/m,
  /^4408\sunresponsive$/m
]

/** The keys of the operations in the order of the page. */
async function operationsOf(page: Page): Promise<string[]> {
  return await page.locator('.message').evaluateAll((nodes) => nodes.map(({ id }) => id))
}

/** Opens whatever can be opened. */
async function openAll(page: Page): Promise<void> {
  await page.evaluate(`for (const details of document.querySelectorAll('details')) details.open = true`)
  for (const name of [/Extensions$/, /^Expected Reply Messages$/, /^Expand all$/]) {
    await page.evaluate(`for (const button of document.querySelectorAll('button')) if (${name}.test(button.textContent)) button.click()`)
  }
  // they are opened one within the other
  await page.getByText('must match').first().waitFor()
}
