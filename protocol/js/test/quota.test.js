// Over a quota a push is refused as a whole: what fits is taken all the same, and what does not is undone.

import assert from 'node:assert/strict'
import test from 'node:test'

import { Scene, sharedServer, storedLog } from './harness/scene.js'
import { openStore, settled } from './harness/stores.js'

const tidelog = await sharedServer({
  config: `
[[action]]
type = "app/*"

[limits]
kept_bytes_per_user = "4KiB"
`
})
const hasty = await sharedServer({
  config: `
[[action]]
type = "app/*"

[limits]
actions_per_second = 20
actions_burst = 20
`
})

const big = n => ({ n, text: 'x'.repeat(n === 2 ? 5000 : 10), type: 'app/add' })
const numbers = async (at, user) => (await storedLog(at, { user })).map(i => i.action.n)

test('a client: of many actions the one that is too much is undone', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const page = scene.idlePage(tidelog, { userId })
  const verdicts = [0, 1, 2, 3, 4].map(n => page.sync(big(n)))
  page.start()
  const settledAll = await Promise.allSettled(verdicts)
  assert.deepEqual(settledAll.map(i => i.reason?.action.reason ?? 'processed'), [
    'processed',
    'processed',
    'overQuota',
    'processed',
    'processed'
  ])
  assert.deepEqual(await numbers(tidelog, userId), [0, 1, 3, 4])
})

test('a store: of many actions the one that is too much is undone', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const store = await openStore(scene, tidelog, { user })
  store.tidelog.offline(true)
  for (let n = 0; n < 5; n++) store.dispatch(big(n))
  store.tidelog.offline(false)
  await settled(store)
  assert.deepEqual(store.getState().failed, ['overQuota'])
  assert.deepEqual(await numbers(tidelog, user), [0, 1, 3, 4])
})

test('who acts faster than may be waits, and nothing is lost', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const page = await scene.page(hasty, { timeout: 60_000, userId })
  await Promise.all(Array.from({ length: 50 }, (_, n) => page.sync({ n, type: 'app/add' })))
  const user = scene.user()
  const store = await openStore(scene, hasty, { user })
  for (let n = 0; n < 50; n++) store.dispatch({ n, type: 'app/add' })
  await settled(store)
  const wanted = Array.from({ length: 50 }, (_, n) => n)
  for (const who of [userId, user]) assert.deepEqual(await numbers(hasty, who), wanted)
})
