import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { askTicket, type Chat, logIn, open, protocolsOf, startChat } from '../examples/start-chat.js'
import { launchBrowser, servePage } from '../fixtures/browser.js'
import { ChatPage } from '../fixtures/chat-page.js'
import { needs } from '../fixtures/parts.js'
import { freePort } from '../fixtures/ports.js'
import { until } from '../fixtures/until.js'

/** What a test is given. */
interface Scene {
  readonly t: Test
  readonly chat: Chat
  /** Opens a window that has to be without faults when the test is over. */
  window(at?: Chat): Promise<ChatPage>
  /** A page of another origin. */
  foreignPage(): Promise<Page>
}

/** The one that takes longest comes first. */
const TESTS: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  async 'after a restart of the server both windows come back without a reload, and messages flow again'({ t, window }) {
    const env = { PORT: String(await freePort()) }
    const first = await startChat(t, env)
    const [ann, bob] = await Promise.all([window(first), window(first)])
    await Promise.all([ann.enter('ann'), bob.enter('bob')])
    await ann.say('Before.')
    await bob.hears('Before.')
    await first.stop('SIGTERM')
    await Promise.all([ann.isIn('waiting'), bob.isIn('waiting')])
    await ann.say('Meanwhile.')
    await ann.page.getByText('It is sent as soon as the connection is back.').waitFor()
    await startChat(t, env)
    for (const each of [ann, bob])
      await each.page
        .getByRole('button', { name: 'Try now' })
        .click({ timeout: 1000 })
        .catch(() => {})
    await Promise.all([ann.isIn('open'), bob.isIn('open')])
    for (const each of [ann, bob]) await each.page.getByText('Connected again.').waitFor()
    await ann.hears('Meanwhile.')
    await bob.say('After.')
    await ann.hears('After.')
    await ann.say('Indeed.')
    await bob.hears('Indeed.')
    for (const each of [ann, bob]) {
      t.equal(each.loads, 1)
      await each.hears('Before.')
    }
  },

  async 'two windows chat, by nothing but the keyboard'({ t, window }) {
    const [ann, bob] = await Promise.all([window(), window()])
    t.equal(await ann.focused(), 'name')
    await ann.page.keyboard.type('ann of the keys')
    await ann.page.keyboard.press('Enter')
    await ann.page.getByRole('heading', { name: 'lobby' }).waitFor()
    t.equal(await ann.focused(), 'text', 'to write is what comes next')
    await bob.enter('bob of the keys')
    await ann.page.keyboard.type('Is there')
    await ann.page.keyboard.press('Shift+Enter')
    await ann.page.keyboard.type('<b>milk</b>?')
    await ann.page.keyboard.press('Enter')
    for (const each of [ann, bob]) await each.hears('Is there\n<b>milk</b>?')
    await bob.say('In the fridge.')
    for (const each of [ann, bob]) await each.hears('In the fridge.')

    const order = ['send', '', 'Skip to the message', 'logout', 'lobby', 'join-room', 'Join', 'leave', 'messages', 'text']
    await tabThrough(t, ann, order)
    for (const stop of ['messages', 'leave', 'Join', 'join-room']) {
      await ann.page.keyboard.press('Shift+Tab')
      t.equal(await ann.focused(), stop)
    }
    await ann.page.keyboard.type('kitchen')
    await ann.page.keyboard.press('Enter')
    await ann.page.getByRole('heading', { name: 'kitchen' }).waitFor()
    t.equal(await ann.focused(), 'text')
    await bob.say('Nobody there?')
    await ann.page.getByRole('button', { name: /^lobby/ }).press('Enter')
    await ann.hears('Nobody there?')
    await ann.page.locator('#logout').press('Enter')
    await ann.page.getByText('You were logged out.').waitFor()
    t.equal(await ann.focused(), 'name')
  },

  async 'a session that is about to end is extended on the open socket'({ t, window }) {
    const ann = await window()
    await ann.enter('renewer', { seconds: 10, isRenewed: true })
    const before = await ann.page.getByText('Session until').textContent()
    await until(() => ann.sent.some((frame) => frame.includes('"$refresh"')))
    const { id } = frameOf(ann.sent, '$refresh')
    await until(() => ann.received.some((frame) => frame.includes(`"$reply","id":${id}`)))
    const { payload } = JSON.parse(ann.received.find((frame) => frame.includes(`"$reply","id":${id}`)) ?? '')
    t.ok(payload.expiresAt > frameOf(ann.received, '$welcome').payload.expiresAt)
    t.not(await ann.page.getByText('Session until').textContent(), before)
    await ann.say('Still here.')
    await ann.hears('Still here.')
    t.equal(ann.sockets.length, 1)
    t.notOk(ann.sockets[0]?.isClosed())
  },

  async 'a session that is not renewed ends at the log-in'({ t, window }) {
    const ann = await window()
    await ann.logIn('visitor', { seconds: 3, isRenewed: false })
    await ann.page.getByText('Your session has ended. Log in again.').waitFor()
    t.equal(await ann.focused(), 'name')
    t.equal(await ann.page.title(), 'Chat')
    await ann.enter('visitor', { seconds: 600, isRenewed: true })
  },

  async 'to log out in one window closes the other one'({ t, window }) {
    const [first, second, other] = await Promise.all([window(), window(), window()])
    await Promise.all([first.enter('twice'), second.enter('twice'), other.enter('another')])
    await first.page.getByRole('button', { name: 'Log out' }).click()
    for (const each of [first, second]) {
      await each.page.getByText('You were logged out.').waitFor()
      t.ok(await each.page.getByRole('button', { name: 'Log in' }).isVisible())
      await until(() => each.sockets.every((socket) => socket.isClosed()))
      t.equal(each.sockets.length, 1, 'and it does not come again')
    }
    await other.say('Bye.')
    await other.hears('Bye.')
  },

  async 'D10 a page of another origin gets no ticket of the chat, and nowhere with one that it was handed'({ t, chat, foreignPage }) {
    const page = await foreignPage()
    const token = await logIn(chat, 'victim')
    const protocols = protocolsOf(await askTicket(chat, token))
    const asked = await page.evaluate(
      async ({ url, token }) => {
        const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
        return await fetch(url, { method: 'POST', headers, body: '{}' }).then(
          ({ status }) => status,
          (error) => String(error)
        )
      },
      { url: `${chat.origin}/chat/ticket`, token }
    )
    t.equal(asked, 'TypeError: Failed to fetch', 'it may not even ask')
    const end = await page.evaluate(
      ({ url, protocols }) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url, protocols)
          socket.onopen = () => resolve('open')
          socket.onclose = ({ code }) => resolve(code)
        }),
      { url: `${chat.origin.replace('http', 'ws')}/chat`, protocols }
    )
    t.equal(end, 1006)
    t.match(await open(t, chat, protocols).next(), { type: '$welcome' }, 'the ticket is good where it belongs')
  },

  async 'the policy of the page lets no foreign script in, and nothing out'({ t, window }) {
    const ann = await window()
    await ann.enter('ann of the policy')
    const markup = '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>'
    await ann.say(markup)
    await ann.hears(markup)
    t.equal(await ann.page.locator('#messages img, #messages script').count(), 0, 'what others write is text')
    t.same(ann.violations, [])

    const tryAll = `(async () => {
      document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = 3' }))
      document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="document.title = 4">')
      const outcomes = [() => new Promise((resolve) => setTimeout(resolve)).then(() => eval('1')), () => fetch('http://127.0.0.1:9/'), () => new Promise((resolve, reject) => {
        const socket = new WebSocket('ws://127.0.0.1:9/')
        socket.onerror = () => reject(new Error('refused'))
      })].map(async (attempt) => await attempt())
      return (await Promise.allSettled(outcomes)).map(({ status }) => status)
    })()`
    t.same(await ann.page.evaluate(tryAll), ['rejected', 'rejected', 'rejected'])
    t.equal(await ann.page.title(), 'lobby – Chat')
    await until(() => PREVENTED.every((what) => ann.violations.includes(what)))
    // they are what was tried here
    ann.violations.length = 0
    ann.console.length = 0
  },

  async 'what is wrong with a value is said next to its field'({ t, window }) {
    const ann = await window()
    await ann.logIn('!')
    await saysAt(t, ann, 'name', 'login-error', /^A name has letters and digits/)
    await ann.enter('clumsy')
    await ann.page.getByLabel('Room to join').fill('no such room')
    await ann.page.getByRole('button', { name: 'Join' }).click()
    await saysAt(t, ann, 'join-room', 'join-error', /^A room's name has letters/)
    await ann.say('x'.repeat(501))
    await saysAt(t, ann, 'text', 'send-error', /^A message has 1 to 500 characters/)
    t.equal(await ann.page.getByText('1 too many').isVisible(), true)
    await ann.say('x'.repeat(500))
    await ann.hears('x'.repeat(500))
    t.equal(await ann.page.locator('#send-error').isVisible(), false)
    t.equal(await ann.page.locator('#text').getAttribute('aria-invalid'), null)
  },

  async 'who writes too fast is told how long to wait, and what was written stays'({ t, window }) {
    const ann = await window()
    await ann.enter('talker')
    const refusal = Object(await ann.page.evaluate(WRITE_FAST))
    t.match(refusal, { text: /^Too many messages\. You can send again in \d s$/, isBusy: 'true', focused: 'text', spoken: /in $/ })
    t.ok(refusal.count >= 10, 'ten are taken at once')
    await ann.page.locator('#send-error').waitFor({ state: 'hidden' })
    t.equal(await ann.page.locator('#send').getAttribute('aria-disabled'), 'false')
    await ann.page.keyboard.press('Enter')
    await ann.hears(`Message ${refusal.count}`)
  },

  async 'no token and no ticket stays where others could find it'({ t, window }) {
    const ann = await window()
    await ann.enter('secretive', { seconds: 8, isRenewed: true })
    await until(() => ann.sent.some((frame) => frame.includes('"$refresh"')))
    await ann.say('Nothing to see here.')
    await ann.hears('Nothing to see here.')
    await until(() => ann.secrets.length >= 4)
    t.ok(
      ann.secrets.some((secret) => ann.sent.join().includes(secret)),
      'but for the ticket that the socket is told'
    )
    const places = {
      page: await ann.page.evaluate(PLACES),
      storage: await ann.page.context().storageState({ indexedDB: true }),
      console: ann.console,
      urls: ann.urls,
      referers: await Promise.all(ann.referers)
    }
    const found = Object.entries(places).filter(([, place]) => ann.secrets.some((secret) => JSON.stringify(place).includes(secret)))
    t.same(found, [])
    t.match(places.page, { storages: [{}, {}], databases: [], caches: [], cookie: '', historyState: null, historyLength: 2 })
    t.same(places.storage, { cookies: [], origins: [] })
    t.same(new Set(places.referers), new Set([null]))
    t.same(new Set(places.urls.map((url) => new URL(url).search)), new Set(['']))
  }
}

const PREVENTED = [
  'script-src-elem inline',
  'script-src-attr inline',
  'img-src data',
  'script-src eval',
  'connect-src http://127.0.0.1:9/',
  'connect-src ws://127.0.0.1:9/'
]

/** What a script on the page, or whoever looks over the user's shoulder, could find. */
const PLACES = `(async () => ({
  storages: [{ ...localStorage }, { ...sessionStorage }],
  databases: await indexedDB.databases(),
  caches: await caches.keys(),
  cookie: document.cookie,
  historyState: history.state,
  historyLength: history.length,
  url: location.href,
  name: window.name,
  entries: performance.getEntries().map(({ name }) => name),
  dom: document.documentElement.outerHTML,
  fields: [...document.querySelectorAll('input, select, textarea')].map(({ value }) => value),
  globals: Object.keys(window).map((key) => { try { return JSON.stringify(window[key]) } catch {} })
}))()`

/** Sends one message after the other until one is refused; answers what is seen at that moment. */
const WRITE_FAST = `new Promise((resolve) => {
  const [text, error, send, form] = ['text', 'send-error', 'send', 'composer'].map((id) => document.getElementById(id))
  let count = -1
  const next = () => {
    text.value = 'Message ' + ++count
    form.requestSubmit()
  }
  const look = () => {
    if (!error.hidden) {
      observer.disconnect()
      const spoken = [...error.childNodes].filter((node) => node.ariaHidden !== 'true').map((node) => node.textContent).join('')
      const told = { count, text: error.textContent, spoken, isBusy: send.ariaDisabled }
      // the focus goes back to the field a moment later
      setTimeout(() => resolve({ ...told, focused: document.activeElement.id }))
    } else if (send.ariaDisabled === 'false') next()
  }
  const observer = new MutationObserver(look)
  observer.observe(form, { subtree: true, attributes: true, childList: true })
  next()
})`

/** Is the error shown, read out, tied to the field, and the focus where it can be mended? */
async function saysAt(t: Test, { page }: ChatPage, field: string, error: string, text: RegExp): Promise<void> {
  await page.locator(`#${error}:not([hidden])`).waitFor()
  t.match(await page.locator(`#${error}`).textContent(), text)
  t.equal(await page.locator(`#${error}`).getAttribute('role'), 'alert')
  t.match(await page.locator(`#${field}`).getAttribute('aria-describedby'), error)
  t.equal(await page.locator(`#${field}`).getAttribute('aria-invalid'), 'true')
  t.equal(await page.evaluate('document.activeElement.id'), field)
}

async function tabThrough(t: Test, window: ChatPage, order: readonly string[]): Promise<void> {
  const seen: string[] = []
  while (seen.length < order.length) {
    await window.page.keyboard.press('Tab')
    seen.push(await window.focused())
  }
  t.same(seen, order)
}

/** The first of these frames that has this type. */
function frameOf(frames: readonly string[], type: string) {
  return JSON.parse(frames.find((frame) => frame.includes(`"${type}"`)) ?? '{}')
}

if (needs(t, 'chromium')) {
  const [browser, chat, foreign] = await Promise.all([launchBrowser(t), startChat(t), servePage(t)])
  t.jobs = 3
  // for a machine that does much else; it takes 10 seconds
  t.setTimeout(120_000)
  for (const [title, test] of Object.entries(TESTS)) {
    t.test(title, { buffered: true }, async (t) => {
      const windows: ChatPage[] = []
      await test({
        t,
        chat,
        async window(at = chat) {
          const opened = await ChatPage.open(t, browser, at)
          windows.push(opened)
          return opened
        },
        async foreignPage() {
          const context = await browser.newContext()
          t.teardown(() => context.close())
          const page = await context.newPage()
          await page.goto(foreign)
          return page
        }
      })
      for (const { faults, violations } of windows) {
        t.same(faults, [])
        t.same(violations, [])
      }
    })
  }
}
