/** Counts by label. Whoever adds sees to it that labels stay few, whatever a client does. */
export class Tally<Label extends string | number = string> {
  readonly #counts = new Map<Label, number>()

  add(label: Label): void {
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + 1)
  }

  /** The counts as data; labels that never came are not in it. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
