// Clocks that are wrong: the server's base time mends them, and ids stay as they were made.

import assert from 'node:assert/strict'

import { threeParts } from './harness/names.js'
import { send } from './harness/pages.js'
import { inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()

const HOUR = 3_600_000
// A clock is mended to within a round trip, which a loaded machine may make long.
const CLOSE = 60_000

for (const skew of [HOUR, -HOUR]) {
  inEachVersion(`times between a clock that is off by ${skew / HOUR} h and a right one are true for both`, async scene => {
    const userId = scene.user()
    const wrong = await scene.page(tidelog, { userId, clock: () => Date.now() + skew })
    const right = await scene.page(tidelog, { userId })
    const sent = Date.now()
    await send(wrong, { type: 'app/wrong' })
    const [heard] = await right.heard.times('app/wrong')
    const now = Date.now()
    assert.ok(Math.abs(heard.meta.time - sent) < CLOSE, `${heard.meta.time - sent} ms off`)
    assert.equal(heard.meta.id, wrong.heard.list('app/wrong')[0].meta.id)
    assert.ok(Math.abs(parseInt(threeParts(heard.meta.id)) - now - skew) < CLOSE)

    await send(right, { type: 'app/right' })
    const [back] = await wrong.heard.times('app/right')
    assert.ok(Math.abs(back.meta.time - (Date.now() + skew)) < CLOSE)
  })
}

inEachVersion('a device that comes later gets the times that the first ones got', async scene => {
  const userId = scene.user()
  const wrong = await scene.page(tidelog, { userId, clock: () => Date.now() + HOUR })
  const sent = Date.now()
  await send(wrong, { type: 'app/wrong' })
  const late = await scene.page(tidelog, { userId })
  const [heard] = await late.heard.times('app/wrong')
  assert.ok(Math.abs(heard.meta.time - sent) < CLOSE)
})
