// A chain of ten thousand actions that a page missed: where rules let the server fold it, the page has next to nothing to do;
// where they do not, no more at once than a frame has. What is counted is actions, in the page and in each of its tasks.

import assert from 'node:assert/strict'

import { within } from './harness/deadline.js'
import { Heard, kept, oneClock, passTime, reaches, send } from './harness/pages.js'
import { inEachClient, sharedServer } from './harness/scene.js'

const LONG = 10_000
/** What is not folded need not be as long for its frames to be many. */
const MANY_FRAMES = 2_000
const PUSHED_AT_ONCE = 1_000
/** Actions in one frame of the server's, at most. */
const FRAME = 100

const RULES = `
[user_log]
state = ["own/*"]
squash = 1000

[[action]]
type = "own/*"
[[action]]
type = "board/*"
channels = ["board"]
own_log = false
[[action]]
type = "plain/*"

[[channel]]
pattern = "board"
load = "state"
squash = 1000

[[merge]]
type = "*/like"
document = "likes"
operation = "counter/add"
`

/** What an application has anyway, and how it takes a state in. */
function reduce(likes, { type, state }) {
  if (type === 'crdt/state') return state?.value ?? 0
  return type.endsWith('/like') ? likes + 1 : likes
}

const tidelog = await sharedServer({ config: RULES })

/** Each message is a task of its own: what a page's log takes up before the next one is the work of one. */
class Tasks {
  longest = 0
  #now = 0

  constructor(page) {
    page.node.connection.on('message', () => (this.#now = 0))
    page.log.on('add', () => {
      this.#now += 1
      this.longest = Math.max(this.longest, this.#now)
    })
  }
}

/** Another device of the user does it so often, some at a time. */
async function repeat(userId, type, count) {
  const url = `${tidelog.url.replace('ws', 'http')}/v1/log`
  const headers = { Authorization: `Bearer ${userId}`, 'Content-Type': 'application/json' }
  for (let done = 0; done < count; done += PUSHED_AT_ONCE) {
    const actions = Array.from({ length: Math.min(PUSHED_AT_ONCE, count - done) }, () => {
      const time = oneClock()
      return [{ type }, { id: `${time} ${userId}:desk:1 0`, time }]
    })
    const body = JSON.stringify({ actions })
    const answer = await within(fetch(url, { method: 'POST', headers, body }), 'a push')
    const { results } = await answer.json()
    assert.ok(results.every(({ status }) => status === 'processed'))
  }
}

const WAYS = [
  { what: 'its user\'s log', type: 'own/like', folded: true },
  { what: 'a channel', type: 'board/like', folded: true, channel: 'board' },
  { what: 'a log that no rule folds', type: 'plain/like', folded: false }
]

for (const { what, type, folded, channel } of WAYS) {
  inEachClient(`a page that missed a long chain of ${what} has little to do at once`, async scene => {
    const userId = scene.user()
    const proxy = await scene.proxy(tidelog)
    const page = await scene.page(proxy, { userId, keep: true, clock: oneClock })
    if (channel) await send(page, { type: 'logux/subscribe', channel })
    // What another test's users did in the channel is there, too.
    let likes = page.heard.items.map(({ action }) => action).reduce(reduce, 0)
    page.log.on('add', action => (likes = reduce(likes, action)))
    // What is made at the time of a state would bring that anew.
    passTime(3_000)
    await repeat(userId, type, 3)
    await page.heard.times(type, 3)
    const left = reaches(page, 'disconnected')
    proxy.goOffline()
    await left
    passTime(3_000)
    const [long, before] = [folded ? LONG : MANY_FRAMES, likes]
    await repeat(userId, type, long)

    const [came, tasks] = [new Heard(page), new Tasks(page)]
    proxy.goOnline()
    while (likes !== before + long) {
      const count = came.items.length
      await came.until(() => came.items.length > count, () => `more than ${likes} of ${before + long} likes`)
    }
    assert.equal((await kept(page)).map(([action]) => action).reduce(reduce, 0), likes)
    if (folded) {
      // The state, and a page's own subscription with its answer.
      assert.equal(came.count(type), 0)
      assert.equal(came.count('crdt/state'), 1)
      assert.ok(came.items.length <= 3, JSON.stringify(came.items.map(({ action }) => action.type)))
    } else {
      assert.equal(came.count(type), long)
      assert.ok(tasks.longest > 1 && tasks.longest <= FRAME, `${tasks.longest} actions in one task`)
    }
  })
}
