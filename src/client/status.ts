/**
 * - `connecting`: a ticket is asked for, or the connection is being opened
 * - `open`: the server has welcomed the client
 * - `waiting`: until the next try
 * - `closed`: for good
 */
export type ClientStatus = 'connecting' | 'open' | 'waiting' | 'closed'
