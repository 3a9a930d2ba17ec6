// A line that breaks right after a device has asked for the server's time: what it missed wakes it all the same.

import assert from 'node:assert/strict'
import { createECDH, randomBytes } from 'node:crypto'
import test from 'node:test'

import { Service } from '../../../tests/npm/harness/push.js'
import { Device } from '../src/device.js'
import { Api } from '../src/http.js'
import { httpOf, RULES, Scene } from './harness/scene.js'
import { browser, openStore } from './harness/stores.js'

const WAKE = '\n[wake]\nallow_private = true\ninterval = "1ms"\n'

/** A server that may push to loopback, and a proxy that lets nothing through but the first question of a device. */
async function opened(t) {
  const scene = new Scene(t)
  const server = await scene.server({ config: RULES + WAKE })
  const service = await Service.start()
  scene.onEnd(() => service.stop())
  const [proxy, user] = [await scene.proxy(server), scene.user()]
  const asked = request => request.method === 'GET' && request.url.includes('limit=')
  proxy.answer = (request, response) => {
    if (!asked(request)) response.destroy()
    return !asked(request)
  }
  const desk = new Api({ client: `${user}:desk`, token: user, url: httpOf(server) })
  /** The device has missed an action, and the service cannot be told so just now. */
  const misses = async client => {
    const p256dh = createECDH('prime256v1').generateKeys('base64url')
    const keys = { auth: randomBytes(16).toString('base64url'), p256dh }
    const subscription = { endpoint: `${service.url}/1`, keys }
    const api = new Api({ client, token: user, url: httpOf(server) })
    await api.call('/v1/push/devices', { body: { kind: 'web', subscription } })
    service.busy = 1
    await desk.push({ actions: [[{ n: 1, type: 'app/add' }, {}]] })
    await service.next()
  }
  /** Until the device has asked, and what it asks next is lost. */
  const hasAsked = () =>
    proxy.requests.until(lines => {
      const first = lines.findIndex(line => line.includes('limit='))
      return first >= 0 && lines.length > first + 1
    }, 'a question, and what comes after it')
  return { hasAsked, misses, proxy, scene, service, user }
}

test('a page that has signed in and got no further is woken', async t => {
  const { hasAsked, misses, proxy, scene, service, user } = await opened(t)
  const page = scene.idlePage(proxy, { userId: user })
  await misses(page.clientId)
  page.start()
  await hasAsked()
  assert.equal((await service.next()).path, '/1')
  assert.deepEqual(page.heard.items, [])
})

test('a store that has asked for the time and got no further is woken', async t => {
  const { hasAsked, misses, proxy, scene, service, user } = await opened(t)
  const indexedDB = browser()
  const device = await Device.open(user, indexedDB)
  scene.onEnd(() => device.close())
  await misses(`${user}:${device.client}`)
  const store = await openStore(scene, proxy, { follow: false, indexedDB, name: user, user })
  store.dispatch({ n: 2, type: 'app/add' })
  await hasAsked()
  assert.equal((await service.next()).path, '/1')
  assert.deepEqual(store.getState().list, [2])
})
