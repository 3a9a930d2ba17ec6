// As much of a browser as tabs need: a localStorage whose changes other tabs hear, and locks. It is installed into the
// globals, so a test file that uses it runs its tests one after the other.

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

/** Web Locks, exclusive ones. */
export class Locks {
  #tails = new Map()

  request(name, ...rest) {
    const work = rest.at(-1)
    const { signal, ifAvailable } = rest.length > 1 ? rest[0] : {}
    if (ifAvailable && this.#tails.has(name)) return Promise.resolve(work(null))
    const before = this.#tails.get(name) ?? Promise.resolve()
    const turn = before.then(() => {
      signal?.throwIfAborted()
      return work({ name })
    })
    const tail = turn.catch(() => {}).then(() => {
      if (this.#tails.get(name) === tail) this.#tails.delete(name)
    })
    this.#tails.set(name, tail)
    return turn
  }
}

export class Browser {
  #former = {}

  constructor(t) {
    // One window stands for all tabs: a tab ignores what it wrote itself by the tab id that is inside.
    const window = Object.assign(new EventTarget(), { atob, btoa })
    const localStorage = new Storage((key, newValue) => {
      window.dispatchEvent(Object.assign(new Event('storage'), { key, newValue }))
    })
    const globals = { localStorage, navigator: { locks: new Locks(), onLine: true }, window }
    for (const [name, value] of Object.entries(globals)) {
      this.#former[name] = Object.getOwnPropertyDescriptor(globalThis, name)
      Object.defineProperty(globalThis, name, { configurable: true, value, writable: true })
    }
    t.after(() => this.#leave())
  }

  #leave() {
    for (const [name, descriptor] of Object.entries(this.#former)) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor)
      else delete globalThis[name]
    }
  }
}
