// Clocks that are wrong: the server's base time mends them, and ids stay as they were made.

import assert from 'node:assert/strict'
import test from 'node:test'

import { send } from './harness/pages.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()

const HOUR = 3_600_000

for (const skew of [HOUR, -HOUR]) {
  test(`times between a clock that is off by ${skew / HOUR} h and a right one are true for both`, async t => {
    const scene = new Scene(t)
    const userId = scene.user()
    const wrong = await scene.page(tidelog, { userId, clock: () => Date.now() + skew })
    const right = await scene.page(tidelog, { userId })
    const sent = Date.now()
    await send(wrong, { type: 'app/wrong' })
    const [heard] = await right.heard.times('app/wrong')
    const now = Date.now()
    assert.ok(heard.meta.time >= sent - 50 && heard.meta.time <= now + 50, `${heard.meta.time - sent} ms off`)
    assert.equal(heard.meta.id, wrong.heard.list('app/wrong')[0].meta.id)
    assert.ok(Math.abs(parseInt(heard.meta.id) - now - skew) < 1000)

    await send(right, { type: 'app/right' })
    const [back] = await wrong.heard.times('app/right')
    assert.ok(Math.abs(back.meta.time - (Date.now() + skew)) < 1000)
  })
}

test('a device that comes later gets the times that the first ones got', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const wrong = await scene.page(tidelog, { userId, clock: () => Date.now() + HOUR })
  const sent = Date.now()
  await send(wrong, { type: 'app/wrong' })
  const late = await scene.page(tidelog, { userId })
  const [heard] = await late.heard.times('app/wrong')
  assert.ok(Math.abs(heard.meta.time - sent) < 1000)
})
