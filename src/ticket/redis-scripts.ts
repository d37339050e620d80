import { script } from '../redis/script.js'
import { SERVER_NOW } from '../redis/server-clock.js'

/*
 * A ticket is a hash: its `record` as JSON and, once it is used, `by` whom. The unused tickets of a user are a sorted set
 * of their names by the server's time, in milliseconds, at which each has expired.
 */

/** Of a ticket: keeps it. Given its record and for how many milliseconds. */
export const KEEP = script(`
redis.call('HSET', KEYS[1], 'record', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/** Of a ticket: answers the server's time, the record and who used it. */
export const FIND = script(`
${SERVER_NOW}
local kept = redis.call('HMGET', KEYS[1], 'record', 'by')
return { now, kept[1], kept[2] }
`)

/**
 * Of a ticket: uses it. Given by whom, and the server's time after which it must not be done any more. Answers the server's
 * time, 1 where it was in time, and what was kept before: the record and who used it.
 */
export const REDEEM = script(`
${SERVER_NOW}
if now > tonumber(ARGV[2]) then return { now, 0 } end
local kept = redis.call('HMGET', KEYS[1], 'record', 'by')
if kept[1] and not kept[2] then redis.call('HSET', KEYS[1], 'by', ARGV[1]) end
return { now, 1, kept[1], kept[2] }
`)

/** Of a ticket: 1 where it is there and not used. */
export const IS_UNUSED = script(`
local kept = redis.call('HMGET', KEYS[1], 'record', 'by')
return (kept[1] and not kept[2]) and 1 or 0
`)

/** Of a ticket: removes it, unless it is used. Answers how many that were. */
export const VOID = script(`
if redis.call('HEXISTS', KEYS[1], 'by') == 1 then return 0 end
return redis.call('DEL', KEYS[1])
`)

/**
 * Of a user's unused tickets: adds one. Given its name, its life in milliseconds and how many there may be. Answers 0, or
 * after how many milliseconds there is room for it.
 */
export const COUNT = script(`
${SERVER_NOW}
local life, most = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= most then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return math.ceil(first[2] - now)
end
redis.call('ZADD', KEYS[1], now + life, ARGV[1])
if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], life) end
return 0
`)
