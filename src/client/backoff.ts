/** Bounds in milliseconds. */
export interface BackoffSettings {
  readonly min: number
  readonly max: number
}

export interface JitterSettings {
  readonly backoff: BackoffSettings
  readonly random: () => number
}

/** How many milliseconds to pause after one more failure, which is the first anew where it went well before. */
export type Pause = (wentWell?: boolean) => number

/** Full jitter: a random part of a bound that doubles with each failure. */
export function keepBackoff({ random, backoff }: JitterSettings): Pause {
  let failures = 0
  return (wentWell) => {
    if (wentWell) failures = 0
    return random() * Math.min(backoff.max, backoff.min * 2 ** failures++)
  }
}
