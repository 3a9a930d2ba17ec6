// The demo in a browser: what it shows is what the product promises.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Server } from '../../../../tests/npm/harness/server.js'
import { Proxy } from '../../test/harness/proxy.js'
import { Scene } from './harness.js'

let scene
before(async () => (scene = await Scene.open()))
after(() => scene.close())

/** Closes the page; nothing may have gone wrong on it. */
async function finish(demo) {
  deepEqual(demo.faults, [])
  await demo.page.context().close()
}

/** Gives the page's service worker a push as a push service would. */
async function pushes({ page }) {
  let protocol = await page.context().newCDPSession(page)
  let registered = new Promise(resolve => {
    protocol.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      let ours = registrations.find(it => it.scopeURL.endsWith('/demo/') && !it.isDeleted)
      if (ours) resolve(ours.registrationId)
    })
  })
  await protocol.send('ServiceWorker.enable')
  let registrationId = await registered
  let origin = new URL(page.url()).origin
  return payload => protocol.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data: JSON.stringify(payload) })
}

const boardOf = name => `${scene.url}?board=${name}`

test('edits that two devices made offline merge, and a reload keeps them', async () => {
  let demo = await scene.demo({ url: boardOf('offline') })
  let [phone, laptop, bob] = demo.devices
  await laptop.add('bread')
  await laptop.write('Who brings tea?')
  await demo.agreesOn({ items: ['bread'], note: 'Who brings tea?' })

  await phone.switch(false)
  await bob.switch(false)
  await phone.add('apples')
  await phone.count(2)
  await phone.write('Who brings tea? Me!')
  await bob.add('lemonade')
  await bob.count(1)
  await bob.write('Hi all! Who brings tea?')
  await phone.says(/^offline, 4 waiting$/)
  deepEqual(await laptop.items(), ['bread'])

  await demo.reload()
  deepEqual([await phone.items(), await bob.items()], [['bread', 'apples'], ['bread', 'lemonade']])
  await phone.says(/^offline, 4 waiting$/)

  await phone.switch(true)
  await bob.switch(true)
  await phone.says(/^live over a WebSocket$/)
  await demo.page.waitForFunction(() => document.querySelectorAll('#log li').length === 9)
  await demo.agrees()
  let [one, other] = [await phone.items(), await bob.items()]
  deepEqual(one, other)
  deepEqual([...one].sort(), ['apples', 'bread', 'lemonade'])
  await demo.agreesOn({ items: one, note: 'Hi all! Who brings tea? Me!', people: 3 })

  await demo.reload()
  await demo.agreesOn({ items: one, note: 'Hi all! Who brings tea? Me!', people: 3 })
  await finish(demo)
})

test('of two titles one wins on all devices, and the page says why', async () => {
  let demo = await scene.demo({ url: boardOf('why') })
  let [phone, laptop, bob] = demo.devices
  await bob.switch(false)
  await bob.call('Picnic on Sunday')
  await bob.says(/1 waiting/)
  await laptop.call('Picnic in the park')
  await demo.agreesWithout(bob, { title: 'Picnic in the park' })
  await bob.switch(true)
  await demo.page.locator('#why li').nth(1).waitFor()
  // Which is later is for the clocks to say, as each connection has set them right: a slow handshake makes that vague.
  let [winner, loser] = await demo.page.locator('#why li').evaluateAll(rows =>
    rows.map(row => Object.fromEntries([...row.children].map(it => [it.className, it.textContent]))))
  let authors = { '“Picnic in the park”': 'Ann’s laptop', '“Picnic on Sunday”': 'Bob’s phone' }
  deepEqual([winner.who, loser.who], [authors[winner.what], authors[loser.what]])
  equal(winner.fate, 'it counts')
  equal(loser.fate, `lost: what was done later wins, ${winner.who} at ${winner.when}`)
  let title = winner.what.slice(1, -1)
  await demo.agreesOn({ title })
  equal(await phone.at.locator('[name=title]').inputValue(), title)
  await finish(demo)
})

test('the tour ends with all devices of one mind', async () => {
  let demo = await scene.demo({ url: `${boardOf('tour')}&pace=0` })
  await demo.page.locator('#tour').click()
  await demo.page.locator('#caption', { hasText: 'Now you' }).waitFor()
  await demo.agrees()
  let items = await demo.device('bob-phone').items()
  deepEqual([...items].sort(), ['apples', 'bread', 'lemonade'])
  let title = await demo.device('bob-phone').at.locator('[name=title]').inputValue()
  ok(['Picnic in the park', 'Picnic on Sunday'].includes(title))
  await demo.agreesOn({ items, note: 'Hi all! Who brings tea? Me!', people: 5, title })
  await finish(demo)
})

test('another browser has the same board', async () => {
  let [here, there] = [await scene.demo({ url: boardOf('two') }), await scene.demo({ url: boardOf('two') })]
  await here.device('ann-phone').add('from here')
  await here.agreesOn({ items: ['from here'] })
  await there.agreesOn({ items: ['from here'] })
  await there.device('bob-phone').add('from there')
  await here.agreesOn({ items: ['from here', 'from there'] })
  await finish(here)
  await finish(there)
})

test('two tabs of one browser are devices of their own', async () => {
  let demo = await scene.demo({ url: boardOf('tabs') })
  let second = await demo.page.context().newPage()
  await second.goto(demo.url)
  await second.waitForSelector('body[data-ready]')
  await demo.device('ann-phone').add('from the first tab')
  await second.locator('[data-device=ann-phone] .items li', { hasText: 'from the first tab' }).waitFor()
  await finish(demo)
})

test('a page whose WebSockets are refused on the way syncs over HTTP', async () => {
  let proxy = scene.closing(await Proxy.open(scene.server), it => it.dispose())
  proxy.sockets = 'refuse'
  let demo = await scene.demo({ url: `http://127.0.0.1:${proxy.port}/?board=http` })
  let [phone, laptop, bob] = demo.devices
  for (let device of [phone, laptop, bob]) await device.says(/^live over HTTP$/)
  ok(proxy.count('UPGRADE') > 0)
  await phone.add('by request')
  await demo.agreesOn({ items: ['by request'] })
  await bob.switch(false)
  await bob.add('later')
  await laptop.count(1)
  await bob.switch(true)
  await demo.agreesOn({ items: ['by request', 'later'], people: 1 })
  await finish(demo)
})

test('a push wakes the service worker: it pulls, tells the page, and shows a notification', async () => {
  let demo = await scene.demo({ url: boardOf('push'), permissions: ['notifications'] })
  await demo.device('ann-phone').add('for the watch')
  let pocket = demo.page.locator('#pocket-state')
  await demo.page.locator('#push:enabled').waitFor()
  ok(/sleeps; it has nothing yet/.test(await pocket.textContent()))

  let push = await pushes(demo)
  await push({ tidelog: 1, head: 1, message: { title: 'Ann adds something', body: 'for the watch' } })
  await demo.page.locator('#pocket-news li', { hasText: 'Ann’s phone adds “for the watch”' }).waitFor()
  await demo.page.waitForFunction(async () => {
    let registration = await navigator.serviceWorker.getRegistration('/demo/')
    let shown = (await registration.getNotifications()).map(it => `${it.title}: ${it.body}`)
    return shown.join() === 'Ann adds something: for the watch'
  })
  await demo.page.locator('#push:disabled').waitFor()

  await demo.device('bob-phone').add('for the button')
  await demo.page.locator('#push:enabled').click()
  await demo.page.locator('#pocket-news li', { hasText: 'Bob’s phone adds “for the button”' }).waitFor()
  await finish(demo)
})

test('on a server with rules of its own the page says why Bob is apart', async () => {
  let config = '[[action]]\ntype = "note"\n'
  let server = scene.closing(await Server.start({ config }), it => it.dispose())
  let demo = await scene.demo({ url: `http://127.0.0.1:${server.port}/` })
  await demo.page.locator('#log-empty', { hasText: 'rules of its own' }).waitFor()
  await demo.device('ann-phone').add('for Ann alone')
  await demo.device('ann-laptop').at.locator('.items li', { hasText: 'for Ann alone' }).waitFor()
  deepEqual(await demo.device('bob-phone').items(), [])
  await finish(demo)
})

test('on a phone nothing is wider than the screen, and what is touched is large enough', async () => {
  let demo = await scene.demo({ url: boardOf('narrow'), viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
  await demo.device('ann-phone').add('a rather long item that somebody wrote while waiting for the bus home')
  await demo.page.waitForFunction(() => document.querySelectorAll('#log li').length === 1)
  // A page that is wider makes a phone's browser zoom out, and then the screen counts more pixels.
  let [width, screen] = await demo.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  deepEqual([width, screen], [390, 390])
  let small = await demo.page.evaluate(() =>
    [...document.querySelectorAll('button, input:not([type=checkbox]), .switch')]
      .filter(it => it.checkVisibility() && (it.offsetHeight < 36 || it.offsetWidth < 36))
      .map(it => it.outerHTML))
  deepEqual(small, [])
  await finish(demo)
})
