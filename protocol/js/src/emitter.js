// Events in the way of nanoevents, which is what `@logux/core` expects of a connection.

export class Emitter {
  /** @type {Record<string, ((...args: any[]) => void)[]>} */
  events = {}

  /** @param {string} event @param {...any} args */
  emit(event, ...args) {
    for (const listener of [...(this.events[event] ?? [])]) listener(...args)
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   * @returns {() => void} stops listening
   */
  on(event, listener) {
    this.events[event] = [...(this.events[event] ?? []), listener]
    return () => {
      this.events[event] = (this.events[event] ?? []).filter(i => i !== listener)
    }
  }
}
