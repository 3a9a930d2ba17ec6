// As much of a browser as CrossTabClient wants: localStorage whose changes other tabs hear, and locks.
// It is installed into the globals, so a test file that uses it runs its tests one after the other.

import { Heard } from './pages.js'

class Storage {
  constructor(changed) {
    Object.defineProperty(this, 'changed', { value: changed })
  }

  getItem(key) {
    return Object.hasOwn(this, key) ? this[key] : null
  }

  setItem(key, value) {
    this[key] = String(value)
    this.changed(key, this[key])
  }

  removeItem(key) {
    delete this[key]
    this.changed(key, null)
  }
}

class Locks {
  #tail = Promise.resolve()

  request(name, work) {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => {})
    return turn
  }
}

export class Browser {
  #former = {}

  constructor(t) {
    // One window stands for all tabs: a tab ignores what it wrote itself by the tab id that is inside.
    const window = new EventTarget()
    window.atob = atob
    window.btoa = btoa
    const localStorage = new Storage((key, newValue) => {
      window.dispatchEvent(Object.assign(new Event('storage'), { key, newValue }))
    })
    const globals = { window, localStorage, navigator: { locks: new Locks(), onLine: true } }
    for (const [name, value] of Object.entries(globals)) {
      this.#former[name] = Object.getOwnPropertyDescriptor(globalThis, name)
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    }
    t.after(() => this.#leave())
  }

  /** Makes a tab; beside what its log hears, it notes what the tab's own listeners hear, from other tabs too. */
  tab(create) {
    const client = create()
    client.heardByTab = new Heard(client, client)
    return client
  }

  #leave() {
    for (const [name, descriptor] of Object.entries(this.#former)) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor)
      else delete globalThis[name]
    }
  }
}
