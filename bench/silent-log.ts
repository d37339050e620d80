import Fastify from 'fastify'

/** A logger that writes nothing. */
export const silentLog = Fastify().log
