import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import WebSocket, { type ClientOptions } from 'ws'
import { Client } from '../fixtures/client.js'
import { outsideTap, STRIP_TYPES } from '../fixtures/processes.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

type Environment = Readonly<Record<string, string>>

/** How a process ended, and what it wrote. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The chat in a process of its own, as `npm start` runs it. Ended with the test. */
export interface Chat {
  /** What it said where it is, such as `http://127.0.0.1:41234`. */
  readonly origin: string
  /** The origin of its page, where that is another: behind a proxy. */
  readonly pageOrigin?: string
  /** Sends a signal and waits for the end. */
  stop(signal: NodeJS.Signals): Promise<Ended>
}

/** Starts the chat on a free port and waits until it is ready. */
export async function startChat(t: Test, env: Environment = {}, loader = STRIP_TYPES): Promise<Chat> {
  const child = run(env, loader)
  const ended = endOf(child)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    origin: await Promise.race([readOrigin(child), failEarly(ended)]),
    stop(signal) {
      child.kill(signal)
      return ended
    }
  }
}

/** Runs the chat to its end; for settings with which it must not start. */
export async function runChat(env: Environment): Promise<Ended> {
  return await endOf(run(env))
}

function run(env: Environment, loader = STRIP_TYPES): ChildProcess {
  return spawn(...outsideTap(process.execPath, [loader, 'examples/chat/main.ts']), {
    cwd: ROOT,
    env: { PATH: process.env.PATH, PORT: '0', ...env }
  })
}

async function endOf(child: ChildProcess): Promise<Ended> {
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => {
    output.stdout += String(chunk)
  })
  child.stderr?.on('data', (chunk) => {
    output.stderr += String(chunk)
  })
  await once(child, 'close')
  return { code: child.exitCode, ...output }
}

async function readOrigin(child: ChildProcess): Promise<string> {
  let text = ''
  return await new Promise((resolve) => {
    child.stdout?.on('data', (chunk) => {
      text += String(chunk)
      const [, origin] = /^Chat is ready at (\S+)\n/.exec(text) ?? []
      if (origin) resolve(origin)
    })
  })
}

async function failEarly(ended: Promise<Ended>): Promise<never> {
  const { code, stderr } = await ended
  throw new Error(`the chat ended with ${code} before it was ready: ${stderr}`)
}

/** What a request was answered with. */
export interface RestAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: { readonly [name: string]: unknown }
}

export interface RestRequest {
  readonly token?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Posts JSON. */
export async function post(chat: Chat, path: string, { token, body, headers }: RestRequest = {}): Promise<RestAnswer> {
  const response = await fetch(chat.origin + path, {
    method: 'POST',
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers
    },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
}

/** Logs in; answers the token. */
export async function logIn(chat: Chat, name: string, expiresIn = 60): Promise<string> {
  const { body } = await post(chat, '/login', { body: { name, expiresIn } })
  return String(body.token)
}

/** Asks for a ticket as the chat's own page does. */
export async function askTicket(chat: Chat, token: string, body: object = {}): Promise<RestAnswer> {
  return await post(chat, '/chat/ticket', { token, body, headers: { origin: chat.pageOrigin ?? chat.origin } })
}

/** The subprotocols of an answer with a ticket. */
export function protocolsOf({ body }: RestAnswer): string[] {
  return Array.isArray(body.protocols) ? body.protocols.map(String) : []
}

/** Begins to open a WebSocket. Closed with the test. */
export function open(t: Test, chat: Chat, protocols: string[], options: ClientOptions = {}): Client {
  const socket = new WebSocket(`${chat.origin.replace('http', 'ws')}/chat`, protocols, {
    origin: chat.pageOrigin ?? chat.origin,
    ...options
  })
  t.teardown(() => socket.terminate())
  return new Client(socket)
}

/** A user's open connection, greeted already, and the payload of the greeting. */
export interface Connected {
  readonly client: Client
  readonly welcome: unknown
}

export async function connect(t: Test, chat: Chat, token: string): Promise<Connected> {
  for (;;) {
    const answer = await askTicket(chat, token)
    // from a Redis that a busy machine keeps from answering in time
    if (answer.status === 503) continue
    const client = open(t, chat, protocolsOf(answer))
    if ((await upgradeStatus(client)) === 503) continue
    const { payload } = await client.next()
    return { client, welcome: payload }
  }
}

/** What the upgrade is answered with; 0 where it is not. */
function upgradeStatus({ socket, closed }: Client): Promise<number> {
  return new Promise((resolve) => {
    socket.once('open', () => resolve(101))
    socket.once('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
    void closed.then(() => resolve(0))
  })
}

/** Logs in and connects. */
export async function enter(t: Test, chat: Chat, name: string): Promise<Client> {
  const { client } = await connect(t, chat, await logIn(chat, name))
  return client
}
