// What a test opens is closed when the test ends, in reverse order, also when it fails.

import test, { after } from 'node:test'

import { createPage, reaches } from './pages.js'
import { Proxy } from './proxy.js'
import { Server } from './server.js'
import { CLIENTS, PROTOCOLS, SPOKEN } from './spoken.js'
import { Wire } from './wire.js'

/** A server for a whole test file. Each test takes users of its own. */
export async function sharedServer(options) {
  const server = await Server.start(options)
  after(() => server.dispose())
  return server
}

/** One test for each way to speak; the pages of its scene speak so unless they are told otherwise. */
export function inEachVersion(title, story, { spoken = SPOKEN, ...options } = {}) {
  for (const speaks of spoken) {
    test(`${title} (${speaks})`, options, t => story(new Scene(t, speaks), t))
  }
}

/** The same for what takes all of `@logux/client`. */
export function inEachClient(title, story, options) {
  inEachVersion(title, story, { spoken: CLIENTS, ...options })
}

/** One test for each protocol, with frames that are made by hand; the wires of its scene speak it. */
export function inEachProtocol(title, story) {
  for (const protocol of PROTOCOLS) {
    test(`${title} (by hand, ${protocol})`, t => story(new Scene(t, 'client', protocol), t))
  }
}

let users = 0

export class Scene {
  #closers = []

  constructor(t, speaks = 'client', protocol = 5) {
    this.speaks = speaks
    this.protocol = protocol
    t.after(async () => {
      for (const close of this.#closers.reverse()) await close()
    })
  }

  /** A user id that no other test of the file has. */
  user(prefix = 'u') {
    users += 1
    return `${prefix}${users}`
  }

  onEnd(close) {
    this.#closers.push(close)
  }

  async server(options) {
    const server = await Server.start(options)
    this.onEnd(() => server.dispose())
    return server
  }

  async proxy(target) {
    const proxy = await Proxy.open(target)
    this.onEnd(() => proxy.dispose())
    return proxy
  }

  /** A started and synchronized page. */
  async page(at, options) {
    const client = this.idlePage(at, options)
    client.start()
    await reaches(client, 'synchronized')
    return client
  }

  /** A page that the test starts itself. */
  idlePage(at, options) {
    const client = createPage(at.url, { speaks: this.speaks, ...options })
    this.onEnd(() => client.destroy())
    return client
  }

  async wire(at, options) {
    const wire = await Wire.open(at.url, { protocol: this.protocol, ...options })
    this.onEnd(() => wire.dispose())
    return wire
  }
}
