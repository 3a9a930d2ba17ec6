// Takes the pictures in docs/images anew: `npm run screenshots`. pngquant makes them small, where there is one.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { Scene } from './test/harness.js'

const image = name => fileURLToPath(new URL(`../../../docs/images/${name}`, import.meta.url))

/** Two devices have edited apart, and one of them is not back yet. */
async function story(demo) {
  let [phone, laptop, bob] = demo.devices
  await laptop.call('Picnic')
  await laptop.add('bread')
  await laptop.count(2)
  await laptop.write('Who brings tea?')
  await demo.agreesOn({ items: ['bread'], note: 'Who brings tea?', people: 2, title: 'Picnic' })
  await phone.switch(false)
  await phone.call('Picnic on Sunday')
  await phone.add('apples')
  await phone.count(1)
  await phone.write('Who brings tea? Me!')
  await bob.call('Picnic in the park')
  await bob.add('lemonade')
  await bob.write('Hi all! Who brings tea?')
  await phone.switch(true)
  await demo.agreesOn({
    items: ['bread', 'lemonade', 'apples'], note: 'Hi all! Who brings tea? Me!', people: 3, title: 'Picnic in the park'
  })
  await bob.switch(false)
  await bob.add('plates')
  await bob.count(1)
  await laptop.count(1)
  await demo.page.waitForFunction(() => document.getElementById('document').textContent.includes('"people": 4'))
  await demo.page.locator('#places button', { hasText: 'title' }).click()
  await demo.page.locator('#why li').nth(1).waitFor()
  await demo.page.evaluate(() => Promise.all(document.getAnimations().map(it => it.finished)))
  await demo.page.evaluate(() => document.getElementById('devices').scrollTo(0, 0))
  await demo.page.mouse.move(0, 0)
}

mkdirSync(image('.'), { recursive: true })
for (let [name, options] of [
  ['demo.png', { viewport: { width: 1180, height: 900 } }],
  ['demo-phone.png', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: 'dark' }]
]) {
  // Each of a server of its own, so that positions begin at 1.
  let scene = await Scene.open()
  try {
    let demo = await scene.demo(options)
    await story(demo)
    await demo.page.screenshot({ path: image(name), fullPage: true })
    spawnSync('pngquant', ['--force', '--skip-if-larger', '--ext=.png', '128', image(name)])
  } finally {
    await scene.close()
  }
}
