// What a page was told of documents just before the server is killed, the server has forgotten. The page lives on, and what comes
// is not hidden under that.

import assert from 'node:assert/strict'

import { kept, oneClock, reaches, send, wrongClock } from './harness/pages.js'
import { inEachVersion } from './harness/scene.js'

const RULES = `
[user_log]
state = ["like"]

[[action]]
type = "like"
[[action]]
type = "like/*"
channels = ["board"]
own_log = false
[[channel]]
pattern = "board"
load = "state"

[[merge]]
type = "like*"
document = "likes"
operation = "counter/add"
`

/** What an application has anyway, and how it takes a state in. */
function reduce(likes, { type, state }) {
  if (type === 'crdt/state') return state?.value ?? 0
  return type.startsWith('like') ? likes + 1 : likes
}

/** What a store shows that has its page's log in the order of times. */
const stored = async page => (await kept(page)).map(([action]) => action).reduce(reduce, 0)

async function shows(page, likes) {
  for (;;) {
    const count = page.heard.items.length
    if ((await stored(page)) === likes) return
    await page.heard.until(() => page.heard.items.length > count, `something more, to show ${likes}`)
  }
}

for (const [what, type] of [['a user\'s log', 'like'], ['a channel', 'like/in']]) {
  inEachVersion(`a page that lives on after a kill shows what comes by ${what}`, async scene => {
    const tidelog = await scene.server({ config: RULES })
    const userId = scene.user()
    const open = async clock => {
      const page = await scene.page(tidelog, { userId, keep: true, clock })
      if (type !== 'like') await send(page, { type: 'logux/subscribe', channel: 'board' })
      return page
    }
    // Hours ahead, so that the document is told of as of then.
    const fast = await open(wrongClock(5 * 3_600_000))
    for (let n = 0; n < 3; n++) await send(fast, { type })
    const desk = await open(oneClock)
    const page = await open(oneClock)
    for (const one of [desk, page]) await shows(one, 3)

    const left = [fast, desk, page].map(one => reaches(one, 'disconnected'))
    await tidelog.kill()
    await Promise.all(left)
    await tidelog.start()
    await Promise.all([fast, desk, page].map(one => reaches(one, 'synchronized')))
    await send(desk, { type })
    await page.heard.times(type)
    for (const one of [desk, page]) await shows(one, 4)
    assert.equal(page.heard.count(type), 1)
  })
}
