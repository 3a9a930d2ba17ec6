// wss://: the same clients over TLS.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'

import { within } from './harness/deadline.js'
import { reaches, send, trusted } from './harness/pages.js'
import { inEachVersion, Scene, sharedServer } from './harness/scene.js'

const directory = mkdtempSync(join(tmpdir(), 'tidelog-tls-'))
after(() => rmSync(directory, { recursive: true }))
const tls = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }

/** Writes a new certificate for localhost and its key; whether this machine can. */
function issue() {
  const flags = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost']
  const files = ['-keyout', tls.key, '-out', tls.cert]
  const names = ['-addext', 'subjectAltName=DNS:localhost', '-days', '2']
  try {
    execFileSync('openssl', ['req', '-x509', ...flags, ...names, ...files], { stdio: 'ignore' })
    return true
  } catch (error) {
    if (error.code === 'ENOENT') return false
    throw error
  }
}

const skip = issue() ? false : 'this machine has no openssl'
const tidelog = skip ? undefined : await sharedServer({ tls })
if (!skip) trusted.ca = readFileSync(tls.cert)

inEachVersion('a client signs in, syncs and hears another one', async scene => {
  const userId = scene.user()
  const one = await scene.page(tidelog, { userId })
  const two = await scene.page(tidelog, { userId })
  await send(one, { type: 'app/add', text: 'äöü 🌊' })
  const [{ action }] = await two.heard.times('app/add')
  assert.equal(action.text, 'äöü 🌊')
  assert.deepEqual([one.errors.items, two.errors.items], [[], []])
}, { skip })

test('a client needs no unsafe option', { skip }, async t => {
  const scene = new Scene(t)
  const options = { userId: scene.user(), allowDangerousProtocol: false }
  const page = await scene.page(tidelog, options)
  await send(page, { type: 'app/add' })
  await reaches(page, 'synchronized')
})

test('weeks of work come in one frame of megabytes, and go out to another page', { skip }, async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const page = scene.idlePage(tidelog, { userId })
  const text = 'x'.repeat(4000)
  const sent = []
  for (let i = 0; i < 500; i++) sent.push(page.sync({ type: 'app/add', i, text }))
  page.start()
  await within(Promise.all(sent), 'not all were processed', 60_000)
  const fresh = await scene.page(tidelog, { userId })
  const heard = await fresh.heard.times('app/add', 500)
  assert.deepEqual(
    heard.map(({ action }) => action.i),
    sent.map((_, i) => i)
  )
})

test('a page that does not trust the certificate does not get in', { skip }, async t => {
  const scene = new Scene(t)
  const { ca } = trusted
  delete trusted.ca
  try {
    const page = scene.idlePage(tidelog, { userId: scene.user() })
    page.start()
    await reaches(page, 'connecting')
    await reaches(page, 'disconnected')
  } finally {
    trusted.ca = ca
  }
})

test('sessions live on when the certificate is read again', { skip }, async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  issue()
  tidelog.child.kill('SIGHUP')
  trusted.ca = readFileSync(tls.cert)
  // A page that trusts only the new certificate comes in once it is there.
  const fresh = await scene.page(tidelog, { userId })
  await send(page, { type: 'app/add' })
  await fresh.heard.times('app/add')
})
