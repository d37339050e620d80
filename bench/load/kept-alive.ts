import { connect, type Socket } from 'node:net'

const HEAD_END = '\r\n\r\n'

interface Waiting {
  resolve(body: string): void
  reject(error: Error): void
}

/** Asks one thing after another over one HTTP connection that is kept alive. */
export class KeptAlive {
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

  /** Resolves with the body of the answer; rejects unless its status is 200 or 201. */
  ask(method: string, path: string, headers: readonly string[] = [], body = ''): Promise<string> {
    const head = [`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${this.#port}`, ...headers, `Content-Length: ${body.length}`]
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket.write(`${head.join('\r\n')}${HEAD_END}${body}`)
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
    if (/^HTTP\/1\.1 20[01] /.test(answer)) this.#waiting?.resolve(answer.slice(bodyAt))
    else this.#waiting?.reject(new Error(`refused: ${answer}`))
  }
}
