// Logs that were compacted: pages get what is left of a document as a state, and what was made before that and comes later
// shows all the same.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { isDeepStrictEqual, promisify } from 'node:util'

import { within } from './harness/deadline.js'
import { kept, oneClock, reaches, send } from './harness/pages.js'
import { inEachVersion } from './harness/scene.js'
import { BIN } from './harness/server.js'

const RULES = `
[compaction]
actions = ["like", "like/*"]
every = "never"

[[action]]
type = "like"
[[action]]
type = "like/*"
channels = ["past"]
[[channel]]
pattern = "past"

[[merge]]
type = "like*"
document = "likes"
operation = "counter/add"
`

const run = promisify(execFile)

async function compact(server) {
  const compaction = run(BIN, ['compact', '--older-than', '1ms', '--data', server.data])
  return JSON.parse((await within(compaction, 'tidelog compact')).stdout)
}

/** What an application has anyway, and how it takes a state in. */
function reduce(likes, { type, state }) {
  if (type === 'crdt/state') return state?.value ?? 0
  return type.startsWith('like') ? likes + 1 : likes
}

/** A store has its page's log in the order of times; a listener, in that in which it came. */
async function agree(page, likes) {
  for (;;) {
    const count = page.heard.items.length
    const stored = (await kept(page)).map(([action]) => action).reduce(reduce, 0)
    const heard = page.heard.items.map(i => i.action).reduce(reduce, 0)
    if (isDeepStrictEqual([stored, heard], [likes, likes])) return
    const text = () => `something more than ${stored} and ${heard}, to have ${likes}`
    await page.heard.until(() => page.heard.items.length > count, text)
  }
}

for (const [what, type] of [['a user\'s log', 'like'], ['a channel', 'like/in']]) {
  inEachVersion(`what was made before ${what} was compacted, and comes later, is seen`, async scene => {
    const tidelog = await scene.server({ config: RULES })
    const userId = scene.user()
    const open = at => scene.page(at, { userId: type === 'like' ? userId : scene.user(), keep: true, clock: oneClock })
    const proxy = await scene.proxy(tidelog)
    const author = await open(proxy)
    const left = reaches(author, 'disconnected')
    proxy.goOffline()
    await left
    const early = send(author, { type })
    const desk = await open(tidelog)
    for (let n = 0; n < 3; n++) await send(desk, { type })
    assert.equal((await compact(tidelog)).compacted, 3)

    const page = await open(tidelog)
    if (type !== 'like') await send(page, { type: 'logux/subscribe', channel: 'past' })
    await page.heard.times('crdt/state')
    await agree(page, 3)
    proxy.goOnline()
    await early
    await agree(page, 4)
    assert.deepEqual([page.heard.count(type), page.heard.count('crdt/state')], [1, 2])
  })
}
