/** Makes keys of the document from names that may be any text: letters, digits, `.`, `_` and `-`, and no key twice. */
export class Keys {
  readonly #taken = new Set<string>()

  of(name: string): string {
    const key = name.replace(/[^\w.-]/g, '_')
    let unique = key
    for (let count = 2; this.#taken.has(unique); count++) unique = `${key}_${count}`
    this.#taken.add(unique)
    return unique
  }
}
