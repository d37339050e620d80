import { hash, randomBytes } from 'node:crypto'

const TICKET_BYTES = 32
const TICKET_FORMAT = /^[A-Za-z0-9_-]{43}$/

/** A new ticket: 256 bits from the system's CSPRNG as 43 base64url characters. */
export function createTicket(): string {
  return randomBytes(TICKET_BYTES).toString('base64url')
}

/** Could this be a ticket? What could not never reaches the store. */
export function isTicketFormat(text: string): boolean {
  return TICKET_FORMAT.test(text)
}

/**
 * What is stored in a ticket's place: its SHA-256. A ticket has 256 bits of chance, so the hash needs
 * neither salt nor stretching.
 */
export function hashTicket(ticket: string): string {
  return hash('sha256', ticket, 'base64url')
}
