import { byId, element, show } from './elements.js'

/** A line next to a field that says what was wrong with it; read out when it comes. */
export class Notice {
  readonly #node: HTMLElement
  readonly #field: HTMLElement
  #timer: ReturnType<typeof setInterval> | undefined

  /** @param id of the line; of the field that it is about */
  constructor(id: string, fieldId: string) {
    this.#node = byId(id, HTMLElement)
    this.#field = byId(fieldId, HTMLElement)
  }

  /** @param isInvalid whether it is what was written in the field that is wrong */
  say(text: string, isInvalid = false): void {
    this.clear()
    if (isInvalid) this.#field.setAttribute('aria-invalid', 'true')
    show(this.#node, text)
  }

  /** Says what is nobody's fault. */
  inform(text: string): void {
    this.say(text)
    this.#node.classList.add('calm')
  }

  clear(): void {
    clearInterval(this.#timer)
    this.#node.classList.remove('calm')
    this.#field.removeAttribute('aria-invalid')
    show(this.#node)
  }

  /** Says it until the time is over, with the seconds that are left; these are not read out each time. */
  countDown(text: string, ms: number, done: () => void): void {
    const end = performance.now() + ms
    const seconds = element('span', { class: 'seconds', 'aria-hidden': 'true' })
    const update = () => {
      const left = Math.ceil((end - performance.now()) / 1000)
      seconds.textContent = `${left} s`
      if (left > 0) return
      this.clear()
      done()
    }
    this.say(text)
    this.#node.append(seconds)
    this.#timer = setInterval(update, 200)
    update()
  }
}
