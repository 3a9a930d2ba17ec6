// Web Push, read by an implementation that is not ours: encryption by http_ece, signatures by Node's own.

import assert from 'node:assert/strict'
import { createECDH, createPublicKey, randomBytes, verify } from 'node:crypto'
import test from 'node:test'

import ece from 'http_ece'

import { Service } from './harness/push.js'
import { Server } from './harness/server.js'

const CONFIG = `
[wake]
allow_private = true
interval = "1ms"
contact = "mailto:push@example.com"

[[push]]
type = "chat/*"
how = "message"
title = "{action.name}"
body = "{action.text}"

[[push]]
type = "*"
how = "silent"
`

/** A browser that has subscribed. */
class Browser {
  constructor(endpoint) {
    this.endpoint = endpoint
    this.keys = createECDH('prime256v1')
    this.keys.generateKeys()
    this.auth = randomBytes(16).toString('base64url')
  }

  toJSON() {
    const p256dh = this.keys.getPublicKey('base64url')
    return { endpoint: this.endpoint, expirationTime: null, keys: { p256dh, auth: this.auth } }
  }

  read({ body }) {
    const text = ece.decrypt(body, { version: 'aes128gcm', privateKey: this.keys, authSecret: this.auth })
    return JSON.parse(text.toString())
  }
}

async function call(server, who, method, path, body) {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method,
    headers: {
      'authorization': `Bearer ${who.split(':')[0]}`,
      'content-type': 'application/json',
      'tidelog-client': who
    },
    body: JSON.stringify(body)
  })
  assert.ok(response.ok, `${response.status} ${await response.clone().text()}`)
  return response.json()
}

const act = (server, who, action) => call(server, who, 'POST', '/v1/log', { actions: [[action, {}]] })

async function scene(t) {
  const service = await Service.start()
  t.after(() => service.stop())
  const server = await Server.start({ config: CONFIG })
  t.after(() => server.dispose())
  const browser = new Browser(`${service.url}/push/secret`)
  await call(server, '10:a', 'POST', '/v1/push/devices', { kind: 'web', subscription: browser })
  return { service, server, browser }
}

test('a push is read by another implementation, and its token verifies', async t => {
  const { service, server, browser } = await scene(t)
  await act(server, '10:b', { type: 'chat/say', name: 'Ann', text: 'Grüße 👋' })
  const push = await service.next()
  const message = { title: 'Ann', body: 'Grüße 👋' }
  assert.deepEqual(browser.read(push), { tidelog: 1, head: 1, message })
  assert.equal(push.headers['content-encoding'], 'aes128gcm')

  const [, token, key] = /^vapid t=([^,]+), k=(.+)$/.exec(push.headers.authorization)
  const { publicKey } = await (await fetch(`http://127.0.0.1:${server.port}/v1/push/key`)).json()
  assert.equal(key, publicKey)
  const point = Buffer.from(key, 'base64url')
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(i => i.toString('base64url'))
  const public_ = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' })
  const [head, claims, signature] = token.split('.')
  const holds = bytes =>
    verify('sha256', Buffer.from(`${head}.${claims}`), { key: public_, dsaEncoding: 'ieee-p1363' }, bytes)
  const bytes = Buffer.from(signature, 'base64url')
  assert.ok(holds(bytes))
  bytes[7] ^= 1
  assert.ok(!holds(bytes), 'a flipped bit is noticed')
  const { aud, exp, sub } = JSON.parse(Buffer.from(claims, 'base64url'))
  assert.deepEqual([aud, sub], [service.url, 'mailto:push@example.com'])
  assert.ok(exp > Date.now() / 1000 && exp <= Date.now() / 1000 + 86_400)
})

test('kill -9 between commit, push and pull: nothing is lost, and one push repeated at most for each kill', async t => {
  const { service, server, browser } = await scene(t)
  const heard = []
  const hears = async head => {
    do {
      const push = await service.next()
      heard.push({ head: browser.read(push).head, life: push.life })
    } while (heard.at(-1).head < head)
    assert.equal(heard.at(-1).head, head)
  }
  const kill = async () => {
    await server.kill()
    await service.outlives()
    service.answers = true
    await server.start()
  }
  // It was sent, and the process dies before it hears that it was taken.
  service.answers = false
  await act(server, '10:b', { type: 'note' })
  await hears(1)
  await act(server, '10:b', { type: 'note' })
  await kill()
  await hears(2)
  // It dies at once after it has acknowledged an action.
  for (let head = 3; head < 6; head++) {
    await act(server, '10:b', { type: 'note' })
    await kill()
    await hears(head)
  }
  // A device is told one thing after the other: with this one, all that is repeated has come.
  await act(server, '10:b', { type: 'note' })
  await hears(6)
  for (let life = 0; life < 5; life++) assertRepeats(heard, life)
  const { actions } = await call(server, '10:a', 'GET', '/v1/log')
  assert.equal(actions.length, 6)
})

/** In one life nothing is told twice; what lives before have told, once at most. */
function assertRepeats(heard, life) {
  const heads = heard.filter(it => it.life === life).map(it => it.head)
  const text = `life ${life} in ${JSON.stringify(heard)}`
  assert.deepEqual(heads, [...new Set(heads)].sort((a, b) => a - b), text)
  const told = Math.max(0, ...heard.filter(it => it.life < life).map(it => it.head))
  assert.ok(heads.filter(head => head <= told).length <= 1, text)
}
