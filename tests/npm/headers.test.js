// Headers of clients: seen from the first action on, replaced as a whole, and by later ones only.

import assert from 'node:assert/strict'

import { send, undone } from './harness/pages.js'
import { UP } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

const speak = (page, locale) => send(page, { type: 'locale/add', locale })

inEachVersion('headers that were set before the start come before connect and count', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = scene.idlePage(proxy, { userId: scene.user() })
  page.node.setLocalHeaders({ locale: 'en', theme: 'dark' })
  page.start()
  await speak(page, 'en')
  const names = proxy.list({ dir: UP }).map(i => i[0])
  assert.deepEqual(names.slice(0, 2), ['headers', 'connect'])
  assert.equal((await undone(page, { type: 'locale/add', locale: 'fr' })).reason, 'denied')
})

inEachVersion('headers that change replace the former ones for what comes after', async scene => {
  const page = scene.idlePage(tidelog, { userId: scene.user() })
  page.node.setLocalHeaders({ locale: 'en' })
  page.start()
  await speak(page, 'en')
  page.node.setLocalHeaders({ locale: 'fr' })
  await speak(page, 'fr')
  assert.equal((await undone(page, { type: 'locale/add', locale: 'en' })).reason, 'denied')
  page.node.setLocalHeaders({ other: 'x' })
  assert.equal((await undone(page, { type: 'locale/add', locale: 'fr' })).reason, 'denied')
})

inEachVersion('headers are sent again after a reconnect', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = scene.idlePage(proxy, { userId: scene.user() })
  page.node.setLocalHeaders({ locale: 'en' })
  page.start()
  await speak(page, 'en')
  proxy.cut()
  await speak(page, 'en')
})
