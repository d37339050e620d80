/** Bounds in milliseconds. */
export interface BackoffSettings {
  readonly min: number
  readonly max: number
}
