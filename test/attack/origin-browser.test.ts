import fastifyCors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import type { Page } from 'playwright-core'
import t from 'tap'
import { bearer, echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { launchBrowser, servePage } from '../fixtures/browser.js'
import { needs } from '../fixtures/parts.js'
import { protocolsOf } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'

interface Outcome {
  readonly event: 'message' | 'close'
  readonly data: string
}

/** Opens a WebSocket in a page, and answers the first message or that it is closed before one comes. */
function connectFrom(page: Pick<Page, 'evaluate'>, url: string, protocols: string[]): Promise<Outcome> {
  return page.evaluate(
    ({ url, protocols }) =>
      new Promise<Outcome>((resolve) => {
        const socket = new WebSocket(url, protocols)
        socket.onmessage = ({ data }) => resolve({ event: 'message', data: String(data) })
        socket.onclose = ({ code }) => resolve({ event: 'close', data: String(code) })
      }),
    { url, protocols }
  )
}

/** Asks for a ticket in a page, as the user who is signed in. */
function fetchTicket(page: Pick<Page, 'evaluate'>, app: FastifyInstance, url: string): Promise<{ status: number; body: string }> {
  return page.evaluate(
    async ({ url, authorization }) => {
      const headers = { authorization, 'content-type': 'application/json' }
      const response = await fetch(url, { method: 'POST', headers, body: '{}' })
      return { status: response.status, body: await response.text() }
    },
    { url, ...bearer(app) }
  )
}

/** What a page tries: a ticket of its own, and one that somebody handed it. */
async function tryFrom(page: Pick<Page, 'evaluate'>, { app, port }: Scene, ticket: string) {
  const asked = await fetchTicket(page, app, `http://127.0.0.1:${port}/echo/ticket`)
  const outcome = await connectFrom(page, `ws://127.0.0.1:${port}/echo`, protocolsOf(ticket))
  return { asked, outcome }
}

if (needs(t, 'chromium')) {
  const listed = await servePage(t)
  const foreign = await servePage(t)
  const opened: string[] = []
  const options = {
    plugin: { allowedOrigins: [ORIGIN, listed] },
    /** CORS is as open as can be, so that what refuses is the check of the Origin and not the browser. */
    declare(app: FastifyInstance) {
      app.register(fastifyCors, { origin: true, credentials: true })
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: ({ userId }) => void opened.push(userId) })
    }
  }

  attack('D10 a page of another origin gets no ticket and can not connect with one that it was handed', options, async (t, scene) => {
    const browser = await launchBrowser(t)
    const { app } = scene
    const ticket = await issueTicket(app, '/echo', { headers: { origin: listed } })
    const { tickets, connections } = app.wsTicket.stats()
    const page = await browser.newPage()

    await page.goto(foreign)
    const refused = await tryFrom(page, scene, ticket)
    t.match(refused.asked, { status: 403, body: /FST_WS_TICKET_ORIGIN_REFUSED/ })
    t.same(refused.outcome, { event: 'close', data: '1006' })
    t.match(app.wsTicket.stats(), { tickets, connections }, 'nothing is issued or opened')
    t.same(opened, [])

    await page.goto(listed)
    const allowed = await tryFrom(page, scene, ticket)
    t.equal(allowed.asked.status, 201)
    t.match(allowed.outcome, { event: 'message', data: /"\$welcome"/ }, 'the same ticket is good where it belongs')
    t.same(opened, ['ann'])
  })

  attack("D10 a sandboxed frame inside of a listed page has the origin 'null' and gets nowhere", options, async (t, scene) => {
    const browser = await launchBrowser(t)
    const { app } = scene
    const ticket = await issueTicket(app, '/echo', { headers: { origin: listed } })
    const { tickets, connections } = app.wsTicket.stats()
    const page = await browser.newPage()
    await page.goto(listed)
    await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<p>inside"></iframe>')
    const frame = page.frames()[1]
    if (!frame) throw new Error('there is no frame')
    await frame.waitForSelector('p')
    t.equal(frame.url(), 'about:srcdoc')

    const { asked, outcome } = await tryFrom(frame, scene, ticket)
    t.match(asked, { status: 403, body: /FST_WS_TICKET_ORIGIN_REFUSED/ })
    t.same(outcome, { event: 'close', data: '1006' })
    t.match(app.wsTicket.stats(), { tickets, connections })
    const fromPage = await connectFrom(page, `ws://127.0.0.1:${scene.port}/echo`, protocolsOf(ticket))
    t.match(fromPage, { event: 'message', data: /"\$welcome"/ }, 'the page around it is let in')
  })
}
