import { type Client, createClient } from 'fastify-ws-ticket/client'
// the type only, so that no schema gets into the page
import type { chatContract } from '../contract.js'
import type { Session } from './session.js'

export type ChatClient = Client<typeof chatContract>

/** How long a message may wait for a connection that comes back, and for its answer. */
const TIMEOUT_MS = 60_000

/** The connection to `/chat`: each message and event of it has the type that the contract says. */
export function connectChat(session: Session, onOpen: () => Promise<void>): ChatClient {
  return createClient<typeof chatContract>({ url: '/chat', token: ({ refused }) => session.token(refused), onOpen, timeout: TIMEOUT_MS })
}
