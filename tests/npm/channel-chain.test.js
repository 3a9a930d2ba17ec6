// A long chain of a channel's actions, for devices of whoever made them: what goes to a channel alone comes to them by
// that channel, as what it adds up to.

import assert from 'node:assert/strict'

import { kept, oneClock, passTime, reaches, send, settled } from './harness/pages.js'
import { inEachVersion, sharedServer } from './harness/scene.js'

const RULES = `
[[action]]
type = "like"
channels = ["board/{action.board}"]
own_log = false
[[action]]
type = "app/*"
[[channel]]
pattern = "board/:id"
load = "state"
squash = 5

[[merge]]
type = "like"
document = "likes"
operation = "counter/add"
`

const tidelog = await sharedServer({ config: RULES })

/** What an application has anyway, and how it takes a state in. */
function reduce(likes, { type, state }) {
  if (type === 'crdt/state') return state?.value ?? 0
  return type === 'like' ? likes + 1 : likes
}

/** A store has its page's log in the order of times; a listener, in that in which it came. */
async function agree(page, likes) {
  for (;;) {
    const count = page.heard.items.length
    const stored = (await kept(page)).map(([action]) => action).reduce(reduce, 0)
    const heard = page.heard.items.map(i => i.action).reduce(reduce, 0)
    if (stored === likes && heard === likes) return
    const text = () => `something more than ${stored} and ${heard}, to have ${likes}`
    await page.heard.until(() => page.heard.items.length > count, text)
  }
}

inEachVersion('an own device gets what a channel adds up to, new or back after long', async scene => {
  const userId = scene.user()
  const board = scene.user()
  const open = at => scene.page(at, { userId, keep: true, clock: oneClock })
  const follow = page => send(page, { type: 'logux/subscribe', channel: `board/${board}` })
  const like = page => send(page, { type: 'like', board })
  const proxy = await scene.proxy(tidelog)
  const desk = await open(tidelog)
  await follow(desk)
  for (let n = 0; n < 3; n++) await like(desk)
  const away = await open(proxy)
  await follow(away)
  await agree(away, 3)
  const left = reaches(away, 'disconnected')
  proxy.goOffline()
  await left
  passTime(3_000)
  for (let n = 0; n < 9; n++) await like(desk)

  const fresh = await open(tidelog)
  await follow(fresh)
  const elsewhere = await open(tidelog)
  proxy.goOnline()
  await reaches(away, 'synchronized')
  for (const page of [desk, away, fresh]) await agree(page, 12)
  for (const page of [away, fresh]) await settled(page)
  assert.deepEqual([away, fresh].map(page => page.heard.count('like')), [0, 0])
  assert.deepEqual([away, fresh].map(page => page.heard.count('crdt/state')), [2, 1])

  passTime(3_000)
  await like(fresh)
  for (const page of [desk, away, fresh]) await agree(page, 13)
  // Who does not follow the board is told of the user's log, and nothing of the board.
  await send(desk, { type: 'app/note' })
  await elsewhere.heard.times('app/note')
  assert.deepEqual([elsewhere.heard.count('like'), elsewhere.heard.count('crdt/state')], [0, 0])
})
