import t from 'tap'
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

t.test('a page shows all of the document under the strict policy, in light and in dark', async (t) => {
  if (!needs(t, 'chromium')) return
  const browser = await launchBrowser(t)
  const document = await fetched(`${chat.origin}/asyncapi.json`)
  const backgrounds = new Set<string>()
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 390, height: 800 } })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(`${chat.origin}/docs/`)
    await page.waitForSelector('#close-codes')
    t.equal(await page.title(), 'Chat')
    t.same(await page.locator('article').evaluateAll((nodes) => nodes.map(({ id }) => id).sort()), Object.keys(document.operations).sort())
    t.match(await page.locator('[id="chat.receive.chat.send"]').innerText(), /10 in 10 s.*"type": "chat.send".*1 to 500 characters/s)
    t.match(await page.locator('[id="chat.send.control.error"]').innerText(), 'FST_WS_TICKET_RATE_LIMITED')
    t.equal(await page.locator('nav a').count(), Object.keys(document.operations).length + 2)
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 390, 'fits a phone')
    backgrounds.add(String(await page.evaluate('getComputedStyle(document.body).backgroundColor')))
    t.same(complaints, [])
    await page.close()
  }
  t.equal(backgrounds.size, 2)

  const other = await describe(t, routes)
  const page = await browser.newPage()
  await page.route('**/asyncapi.json', (route) => route.fulfill({ json: other }))
  page.on('pageerror', (error) => t.fail(error.message))
  await page.goto(`${chat.origin}/docs/`)
  await page.waitForSelector('#close-codes')
  t.equal(await page.locator('article').count(), Object.keys(other.operations).length, 'every kind of contract is shown')
})
