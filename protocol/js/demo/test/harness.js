// Headless Chromium on the demo of a real server.

import { Server } from '../../../../tests/npm/harness/server.js'
import { chromium } from 'playwright-core'

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 20_000)
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-quic', '--no-first-run'
]

/** A server, a browser with an empty profile, and what closes both. */
export class Scene {
  #closing = []

  static async open() {
    let scene = new Scene()
    scene.server = await scene.closing(await Server.start(), it => it.dispose())
    scene.browser = await scene.closing(await chromium.launch({ executablePath: EXECUTABLE, args: FLAGS }), it => it.close())
    return scene
  }

  closing(what, close) {
    this.#closing.unshift(() => close(what))
    return what
  }

  get url() {
    return `http://127.0.0.1:${this.server.port}/`
  }

  /** The demo in a browser profile of its own. */
  async demo({ url = this.url, viewport = { width: 1280, height: 900 }, ...options } = {}) {
    let context = await this.browser.newContext({ viewport, ...options })
    context.setDefaultTimeout(PATIENCE_MS)
    let page = await context.newPage()
    let demo = new Demo(page)
    await demo.load(url)
    return demo
  }

  async close() {
    for (let close of this.#closing) await close()
  }
}

export class Demo {
  faults = []

  constructor(page) {
    this.page = page
    page.on('pageerror', error => this.faults.push(String(error)))
    page.on('console', message => {
      // What a browser says of a request that failed is no fault of the page.
      let isNetwork = /net::ERR_|Failed to load resource|WebSocket connection to/.test(message.text())
      if (message.type() === 'error' && !isNetwork) this.faults.push(message.text())
    })
  }

  async load(url) {
    this.url = url
    await this.page.goto(url)
    await this.page.waitForSelector('body[data-ready]')
  }

  async reload() {
    await this.page.reload()
    await this.page.waitForSelector('body[data-ready]')
  }

  device(name) {
    return new DeviceOnPage(this.page, this.page.locator(`[data-device=${name}]`))
  }

  get devices() {
    return ['ann-phone', 'ann-laptop', 'bob-phone'].map(name => this.device(name))
  }

  /** Until all devices and the server have the same, as far as each has heard. */
  async agrees() {
    await this.page.locator('#agreement', { hasText: 'All devices have the same.' }).waitFor()
  }

  /** Until all devices and the server have the same, and it is this. */
  agreesOn(value) {
    return this.#shows(value, 'All devices have the same.')
  }

  /** Until the server and all devices but one have this. */
  async agreesWithout(device, value) {
    let name = await device.at.locator('h2').textContent()
    await this.#shows(value, `${name} has something else, for now`)
  }

  async #shows(value, agreement) {
    await this.page.waitForFunction(
      ([wanted, agreement]) => {
        let shown = document.getElementById('document').textContent
        let sort = it => JSON.stringify(it, (key, at) => (at?.constructor === Object ? Object.fromEntries(Object.entries(at).sort()) : at))
        let says = document.getElementById('agreement').textContent
        return shown !== '' && says === agreement && sort(JSON.parse(shown)) === sort(wanted)
      },
      [value, agreement]
    )
  }
}

export class DeviceOnPage {
  constructor(page, at) {
    this.page = page
    this.at = at
  }

  async switch(isOnline) {
    await this.at.locator('.switch input').setChecked(isOnline)
    await this.says(isOnline ? /^live/ : /^offline/)
  }

  /** Until its state is like this. */
  async says(pattern) {
    let state = await this.at.locator('.state').elementHandle()
    await this.page.waitForFunction(([it, source]) => new RegExp(source).test(it.textContent), [state, pattern.source])
  }

  async add(item) {
    await this.at.locator('[name=item]').fill(item)
    await this.at.locator('.add button').click()
    await this.at.locator('.items li', { hasText: item }).waitFor()
  }

  async count(times) {
    for (let i = 0; i < times; i++) await this.at.locator('.more').click()
  }

  async call(title) {
    await this.at.locator('[name=title]').fill(title)
    await this.at.locator('[name=title]').blur()
  }

  async write(note) {
    await this.at.locator('[name=note]').fill(note)
  }

  items() {
    return this.at.locator('.items li > span').allTextContents()
  }
}
