// kill -9 under load, again and again: what was acknowledged is there, nothing is there twice, pages go on by themselves.
// KILL_ROUNDS sets how often, KILL_SEED repeats a run's choice of moments.

import assert from 'node:assert/strict'

import { Ledger } from './harness/deadline.js'
import { send } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { inEachVersion } from './harness/scene.js'
import { storedLog } from './harness/server.js'

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 5)
const SEED = Number(process.env.KILL_SEED ?? Date.now() % 1_000_000)
const USERS = 3
const IN_FLIGHT = 8

/** Numbers below `limit` that a seed repeats (a linear congruential generator; nothing hangs on its quality). */
function chance(seed) {
  let state = seed
  return limit => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state % limit
  }
}

/** A page that keeps `IN_FLIGHT` actions under way until it is told to stop, and notes which were acknowledged. */
class Writer {
  constructor(page, name, verdicts) {
    this.page = page
    this.acknowledged = []
    this.going = true
    this.done = Promise.all(Array.from({ length: IN_FLIGHT }, (_, lane) => this.#write(`${name} ${lane}`, verdicts)))
  }

  async #write(lane, verdicts) {
    for (let n = 0; this.going; n++) {
      const text = `${lane} ${n}`
      await this.page.sync({ type: 'posts/add', id: 'kill', text })
      this.acknowledged.push(text)
      verdicts.push(text)
    }
  }

  async stop() {
    this.going = false
    await this.done
  }
}

/** Resolves when the page has heard all of these; what it lacks is in the error. */
function hearsAll(page, wanted) {
  const lacks = () => {
    const heard = new Set(texts(page))
    return [...wanted].filter(text => !heard.has(text))
  }
  const missing = () => `${lacks().length} of ${wanted.length} actions, such as ${lacks().slice(0, 5)}`
  return page.heard.until(() => lacks().length === 0, missing)
}

const texts = page => page.heard.list('posts/add').map(i => i.action.text)

async function kills(scene) {
  const pick = chance(SEED)
  const server = await scene.server({ config: RULES })
  const verdicts = new Ledger()
  const users = []
  // A load is acknowledged when it is complete, so the patience of the client must cover it.
  const quick = { minDelay: 10, maxDelay: 30, timeout: 30_000 }
  for (let i = 0; i < USERS; i++) {
    const userId = scene.user()
    const pages = [await scene.page(server, { userId, ...quick }), await scene.page(server, { userId, ...quick })]
    users.push({ userId, pages, writers: pages.map((page, k) => new Writer(page, `${userId} ${k}`, verdicts)) })
  }
  const subscriber = await scene.page(server, { userId: scene.user(), ...quick })
  await send(subscriber, { type: 'logux/subscribe', channel: 'posts/kill' })

  for (let round = 0; round < ROUNDS; round++) {
    const enough = verdicts.items.length + 1 + pick(400)
    await verdicts.until(items => items.length >= enough, `${enough} verdicts`, 30_000)
    await server.kill()
    await server.start()
  }
  await Promise.all(users.flatMap(i => i.writers.map(writer => writer.stop())))

  const everything = new Set()
  for (const { pages, writers } of users) {
    const written = writers.flatMap(i => i.acknowledged).sort()
    for (const text of written) everything.add(text)
    for (const page of pages) {
      await hearsAll(page, written)
      await send(page, { type: 'app/settled' })
      assert.deepEqual(texts(page).sort(), written, 'a page heard each action once')
    }
  }
  await hearsAll(subscriber, [...everything])

  await server.stop()
  for (const { userId, writers } of users) {
    const stored = (await storedLog(server, { user: userId })).filter(i => i.action.type === 'posts/add')
    assert.deepEqual(stored.map(i => i.action.text).sort(), writers.flatMap(i => i.acknowledged).sort())
    assert.equal(new Set(stored.map(i => i.id)).size, stored.length)
    const positions = stored.map(i => i.position)
    assert.deepEqual(positions, [...positions].sort((a, b) => a - b))
  }
  const channel = await storedLog(server, { channel: 'posts/kill' })
  assert.deepEqual(new Set(channel.map(i => i.action.text)), everything)
  assert.equal(channel.length, everything.size)
}

inEachVersion(`${ROUNDS} kills under load (KILL_SEED=${SEED})`, kills, { timeout: 60_000 + ROUNDS * 10_000 })
