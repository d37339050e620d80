/** Codes after which coming again would end in the same way; 1002 and 1007 are of RFC 6455, the others in `CloseCode`. */
export const STOP = [1000, 1002, 1003, 1007, 1009, 4400, 4403, 4409]

/** Codes of failures that come after the welcome: `internalError`, `slowConsumer` and `limitsExceeded`. */
export const AFTER_WELCOME: readonly (number | undefined)[] = [1011, 1013, 4429]
