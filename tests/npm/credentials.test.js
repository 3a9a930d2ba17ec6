// Tokens: JSON Web Tokens from `connect` or from a cookie, and what becomes of bad ones.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

import { subprotocolIn } from './harness/names.js'
import { reaches, send } from './harness/pages.js'
import { inEachProtocol, inEachVersion, sharedServer } from './harness/scene.js'
import { tidelog as run } from './harness/server.js'

const directory = mkdtempSync(join(tmpdir(), 'tidelog-keys-'))
after(() => rmSync(directory, { recursive: true }))
const keyFile = join(directory, 'secret')
const SECRET = 'a secret of at least thirty-two bytes'
writeFileSync(keyFile, SECRET, { mode: 0o600 })

const CONFIG = `
[server]
subprotocol = 10
min_subprotocol = 5

[auth]
cookie = "token"
anonymous = ["anonymous"]

[[auth.jwt]]
secret_file = "${keyFile}"

[[action]]
type = "mine/*"
allow = "user.claims.role == 'editor'"

[[action]]
type = "app/*"
`

const tidelog = await sharedServer({ dev: false, config: CONFIG })
const unforgiving = await sharedServer({ dev: false, config: `[limits]\nsign_in_window = "2m"\n${CONFIG}` })

const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url')

function jwt(claims, { secret = SECRET, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const text = `${encode(header)}.${encode({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Signs in by hand and returns the first answer that is no headers frame. */
async function attempt(scene, user, { token, cookie, subprotocol = 10, at = tidelog } = {}) {
  const wire = await scene.wire(at, cookie ? { headers: { cookie } } : {})
  wire.connect(`${user}:c:t`, { token, subprotocol })
  return wire.frames.until(items => items.find(i => i[0] !== 'headers'), 'an answer to connect')
}

function tooOld(protocol) {
  const supported = protocol === 4 ? '>=5.0.0' : 5
  return { supported, used: subprotocolIn(protocol, 2) }
}

const DENIED = ['error', 'wrong-credentials']

inEachProtocol('a token signs in the user that it names, and no other', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  assert.equal((await attempt(scene, ann, { token: jwt({ sub: ann }) }))[0], 'connected')
  assert.deepEqual(await attempt(scene, bob, { token: jwt({ sub: ann }) }), DENIED)
  assert.deepEqual(await attempt(scene, 'server', { token: jwt({ sub: 'server' }) }), DENIED)
})

inEachVersion('a token of the command line signs in', async scene => {
  const user = scene.user()
  const token = (await run('token', '--user', user, '--key', keyFile)).trim()
  const page = await scene.page(tidelog, { userId: user, token })
  await send(page, { type: 'app/add' })
})

inEachProtocol('a token in the cookie of the upgrade signs in', async scene => {
  const user = scene.user()
  const cookie = `theme=dark; token=${jwt({ sub: user })}; other=1`
  assert.equal((await attempt(scene, user, { cookie }))[0], 'connected')
})

inEachProtocol('tokens that are wrong in any way are refused alike', async scene => {
  const past = Math.floor(Date.now() / 1000) - 3600
  const bad = user => [
    undefined,
    '',
    'x',
    'a.b.c',
    jwt({ sub: user }, { secret: 'another secret of thirty-two bytes' }),
    jwt({ sub: user, exp: past }),
    jwt({ sub: user, nbf: past + 7200 }),
    jwt({}),
    `${encode({ alg: 'none' })}.${encode({ sub: user })}.`,
    jwt({ sub: user }, { header: { alg: 'none' } }),
    jwt({ sub: user }).slice(0, -2)
  ]
  for (let i = 0; i < bad('').length; i++) {
    const user = scene.user()
    assert.deepEqual(await attempt(scene, user, { token: bad(user)[i] }), DENIED, `token ${i}`)
  }
})

inEachVersion('a page with a bad token is told once and does not come again', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = scene.idlePage(proxy, { userId: scene.user(), token: 'bad' })
  page.start()
  const [error] = await page.errors.until(items => items.length > 0 && items, 'an error')
  assert.equal(error.type, 'wrong-credentials')
  assert.equal(error.options, undefined)
  await reaches(page, 'disconnected')
  // The longest delay before a second attempt would be 60 ms; a whole sign-in of another page takes longer.
  const user = scene.user()
  const other = await scene.page(tidelog, { userId: user, token: jwt({ sub: user }) })
  await send(other, { type: 'app/add' })
  assert.equal(page.node.connection.reconnecting, false)
  assert.equal(proxy.accepted, 1)
})

inEachVersion('a subprotocol below the least is named, and the page does not come again', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const page = scene.idlePage(proxy, { userId, subprotocol: 2, token: jwt({ sub: userId }) })
  page.start()
  const [error] = await page.errors.until(items => items.length > 0 && items, 'an error')
  assert.equal(error.type, 'wrong-subprotocol')
  assert.deepEqual(error.options, tooOld(page.kind.protocol))
  await reaches(page, 'disconnected')
  assert.equal(page.node.connection.reconnecting, false)
})

inEachProtocol('the subprotocol is checked before the token', async scene => {
  const answer = await attempt(scene, scene.user(), { token: 'bad', subprotocol: 2 })
  assert.deepEqual(answer, ['error', 'wrong-subprotocol', tooOld(scene.protocol)])
})

inEachVersion('claims of the token decide in rules', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const editor = await scene.page(tidelog, { userId: ann, token: jwt({ sub: ann, role: 'editor' }) })
  await send(editor, { type: 'mine/edit' })
  const guest = await scene.page(tidelog, { userId: bob, token: jwt({ sub: bob }) })
  await assert.rejects(send(guest, { type: 'mine/edit' }), /denied/)
})

inEachVersion('an anonymous user needs no token and has no history', async scene => {
  const first = await scene.page(tidelog, { userId: 'anonymous', token: undefined })
  await send(first, { type: 'app/add' })
  const second = await scene.page(tidelog, { userId: 'anonymous', token: undefined })
  // History would start after the first answer, so it would be here before the second.
  await send(second, { type: 'app/other' })
  await send(second, { type: 'app/other' })
  assert.equal(second.heard.count('app/add'), 0)
})

inEachVersion('a session ends when its token expires, and a page with a new one goes on', async scene => {
  const proxy = await scene.proxy(tidelog)
  const user = scene.user()
  let asked = 0
  const token = () => {
    asked += 1
    const seconds = asked === 1 ? 4 : 600
    return jwt({ sub: user, exp: Math.floor(Date.now() / 1000) + seconds })
  }
  const page = await scene.page(proxy, { userId: user, token })
  await reaches(page, 'disconnected')
  await reaches(page, 'synchronized')
  assert.equal(asked, 2)
  await send(page, { type: 'app/back' })
})

const LOCKED = ['error', 'bruteforce']

inEachProtocol('failures of one user close the door to that user for a while, not to others at the address', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  for (let i = 0; i < 3; i++) assert.deepEqual(await attempt(scene, ann, { at: unforgiving, token: 'bad' }), DENIED)
  for (let i = 0; i < 5; i++) assert.deepEqual(await attempt(scene, ann, { at: unforgiving, token: 'bad' }), LOCKED)
  assert.equal((await attempt(scene, bob, { at: unforgiving, token: jwt({ sub: bob }) }))[0], 'connected')
  assert.deepEqual(await attempt(scene, ann, { at: unforgiving, token: jwt({ sub: ann }) }), LOCKED)
})

inEachVersion('a page that a neighbour has locked out comes again until it gets in', async scene => {
  const ann = scene.user('ann')
  for (let i = 0; i < 4; i++) await attempt(scene, ann, { token: 'bad' })
  // Once it may try, it tries again each second or less often: an attempt while the door is closed keeps it closed.
  const delays = { minDelay: 4000, maxDelay: 6000 }
  const page = scene.idlePage(tidelog, { userId: ann, token: jwt({ sub: ann }), ...delays })
  page.start()
  const [error] = await page.errors.until(items => items.length > 0 && items, 'an error')
  assert.equal(error.type, 'bruteforce')
  await reaches(page, 'synchronized', 30_000)
  await send(page, { type: 'app/back' })
})
