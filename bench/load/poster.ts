import { connect, type Socket } from 'node:net'
import { ORIGIN } from '../settings.js'

const HEAD_END = '\r\n\r\n'

interface Waiting {
  resolve(protocols: string[]): void
  reject(error: Error): void
}

/** Gets tickets over one connection that is kept alive, one after another. */
export class Poster {
  readonly #port: number
  readonly #socket: Socket
  #text = ''
  #waiting: Waiting | undefined

  constructor(port: number) {
    this.#port = port
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (text: string) => this.#read(text))
    this.#socket.on('error', (error) => this.#waiting?.reject(error))
  }

  /** The subprotocols to offer. */
  post(token: string): Promise<string[]> {
    const head = [
      'POST /bench/ticket HTTP/1.1',
      `Host: 127.0.0.1:${this.#port}`,
      `Origin: ${ORIGIN}`,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      'Content-Length: 2'
    ]
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket.write(`${head.join('\r\n')}${HEAD_END}{}`)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(text: string): void {
    this.#text += text
    const bodyAt = this.#text.indexOf(HEAD_END) + HEAD_END.length
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(this.#text) ?? []
    if (length === undefined || this.#text.length < bodyAt + Number(length)) return
    const answer = this.#text
    this.#text = ''
    if (answer.startsWith('HTTP/1.1 201 ')) this.#waiting?.resolve(JSON.parse(answer.slice(bodyAt)).protocols)
    else this.#waiting?.reject(new Error(`no ticket: ${answer}`))
  }
}
