type Nothing = undefined | void | symbol | ((...values: never[]) => unknown)

/** What a value is after its way through JSON: a Date is text, a Map is `{}`, and where there was nothing there is null. */
export type Jsonified<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null
    ? T
    : T extends Nothing
      ? null
      : T extends { toJSON(): infer Json }
        ? Jsonified<Json>
        : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
          ? Record<never, never>
          : T extends readonly unknown[]
            ? { [K in keyof T]: Jsonified<T[K]> }
            : T extends object
              ? { [K in keyof T]: JsonifiedProperty<T[K]> }
              : never

/** A property without a value, and a method, are left out. */
type JsonifiedProperty<T> = T extends Nothing ? undefined : Jsonified<T>
