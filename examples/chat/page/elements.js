/** Helpers for the DOM. What others wrote gets into it as text only, never as markup. */

/** Makes an element: `element('li', { class: 'line' }, 'some text', otherElement)`. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value)
  // append() makes text nodes of texts
  node.append(...children)
  return node
}

export function byId(id) {
  return document.getElementById(id)
}

/** Shows a text in an element, or hides the element when there is none. */
export function show(node, text) {
  node.textContent = text ?? ''
  node.hidden = !text
}

/**
 * Shows a text that counts down until the time is over; then hides it.
 * @param textOf makes the text of the seconds that are left
 * @returns what stops it
 */
export function countDown(node, until, textOf, done = () => {}) {
  const update = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000)
    if (seconds > 0) return show(node, textOf(seconds))
    stop()
    show(node, undefined)
    done()
  }
  const timer = setInterval(update, 200)
  const stop = () => clearInterval(timer)
  update()
  return stop
}
