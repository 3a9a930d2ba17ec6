// End-to-end encryption: the server keeps what it cannot read, and forgets it when its owner says so.

import assert from 'node:assert/strict'

import { reaches, send, undone } from './harness/pages.js'
import { inEachClient, inEachProtocol, sharedServer } from './harness/scene.js'
import { storedLog } from './harness/server.js'
import { encryptAsBytes } from './harness/spoken.js'

const tidelog = await sharedServer()

/** A page that encrypts; `keep` decides whether it keeps its actions, or has the server forget them once processed. */
async function secretPage(scene, { at = tidelog, keep = true, password = 'open sesame', ...options }) {
  const page = scene.idlePage(at, options)
  if (keep) {
    page.log.on('preadd', (action, meta) => {
      if (action.type.startsWith('app/')) meta.reasons.push('kept')
    })
  }
  page.kind.api.encryptActions(page, password, { ignore: ['plain/add'] })
  if (scene.speaks === '7 binary') encryptAsBytes(page)
  page.start()
  await reaches(page, 'synchronized')
  return page
}

const add = (page, text) => send(page, { type: 'app/add', text })

// Decryption runs in parallel: the order between actions is lost in the client, not on the wire.
const texts = page => page.heard.list('app/add').map(i => i.action.text).sort()

const stored = async user => (await storedLog(tidelog, { user })).map(i => i.action)

inEachClient('the second device reads along, and a third has the history', async scene => {
  const userId = scene.user()
  const first = await secretPage(scene, { userId })
  const second = await secretPage(scene, { userId })
  const long = 'compressible '.repeat(100)
  for (const text of ['one', 'zwei ü', long]) await add(first, text)
  const heard = await second.heard.times('app/add', 3)
  assert.deepEqual(texts(second), texts(first))
  assert.deepEqual(new Set(heard.map(i => i.meta.id)), new Set(first.heard.list('app/add').map(i => i.meta.id)))
  const third = await secretPage(scene, { userId })
  await third.heard.times('app/add', 3)
  assert.deepEqual(texts(third), texts(first))
})

inEachClient('the store holds nothing but ciphertext', async scene => {
  const userId = scene.user()
  const page = await secretPage(scene, { userId })
  await add(page, 'one')
  await send(page, { type: 'plain/add', text: 'not secret' })
  const actions = await stored(userId)
  assert.deepEqual(actions.map(i => i.type), ['0', 'plain/add'])
  assert.deepEqual(Object.keys(actions[0]).sort(), ['d', 'iv', 'type', 'z'])
})

inEachClient('what a device cleans is gone from the store, and a later device does not get it', async scene => {
  const userId = scene.user()
  const first = await secretPage(scene, { userId })
  await add(first, 'stays')
  await add(first, 'goes')
  const goes = first.heard.list(i => i.action.text === 'goes')[0].meta.id
  await first.log.changeMeta(goes, { reasons: [] })
  const [{ meta }] = await first.heard.times('0/clean')
  await first.heard.times(i => i.action.type === 'logux/processed' && i.action.id === meta.id)
  const late = await secretPage(scene, { userId })
  await send(first, { type: 'plain/add', text: 'marker' })
  await late.heard.times('plain/add')
  await add(late, 'last')
  assert.deepEqual(texts(late), ['last', 'stays'])
  assert.deepEqual((await stored(userId)).filter(i => i.type === '0').length, 2)
})

inEachClient('a page that keeps nothing leaves nothing behind', async scene => {
  const userId = scene.user()
  const page = await secretPage(scene, { userId, keep: false })
  await add(page, 'one')
  await add(page, 'two')
  const cleans = await page.heard.times('0/clean', 2)
  for (const { meta } of cleans) {
    await page.heard.times(i => i.action.type === 'logux/processed' && i.action.id === meta.id)
  }
  assert.deepEqual((await stored(userId)).filter(i => i.type === '0'), [])
})

inEachClient('nobody else can clean it', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const owner = await secretPage(scene, { userId: ann })
  await add(owner, 'mine')
  const { id } = owner.heard.list('app/add')[0].meta
  const thief = await scene.page(tidelog, { userId: bob })
  assert.equal((await undone(thief, { type: '0/clean', id })).reason, 'denied')
  const late = await secretPage(scene, { userId: ann })
  await late.heard.times('app/add')
  assert.deepEqual(texts(late), ['mine'])
})

inEachProtocol('what was cleaned and comes again, because its frame was resent, stays gone', async scene => {
  const user = scene.user()
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${user}:c:t`)
  const secret = { type: '0', d: 'AAAA', iv: 'BBBB', z: false }
  await wire.sync(1, [secret, 1])
  await wire.sync(2, [{ type: '0/clean', id: wire.id(1) }, 2])
  const again = await scene.wire(tidelog)
  await again.signIn(`${user}:c:t`)
  const shift = wire.base - again.base
  again.send(['sync', 1, secret, again.meta(shift + 1)])
  await again.next('synced')
  assert.deepEqual(again.verdicts(wire.id(1)).map(([i]) => i.type), ['logux/processed'])
  assert.deepEqual((await stored(user)).filter(i => i.type === '0'), [])
})
