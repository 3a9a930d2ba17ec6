// Frames of protocol 5: their metas are relative to the base time of the connection.

/** @typedef {import('../http.js').Action} Action */
/** @typedef {import('../http.js').Causality & { id: string, time: number, subprotocol?: number, channels?: string[] }} Meta */
/** @typedef {[Action, Meta]} Pair */

export class Frames {
  /**
   * @param {number} baseTime what times in frames are relative to
   * @param {string} nodeId the client's node, which its ids leave out
   * @param {number | undefined} subprotocol the client's, which its metas leave out
   */
  constructor(baseTime, nodeId, subprotocol) {
    this.baseTime = baseTime
    this.nodeId = nodeId
    this.subprotocol = subprotocol
  }

  /**
   * The pairs in what follows `['sync', added]`.
   * @param {any[]} data
   * @returns {Pair[]}
   */
  read(data) {
    /** @type {Pair[]} */
    const pairs = []
    for (let i = 0; i + 1 < data.length; i += 2) {
      const meta = data[i + 1]
      const parts = typeof meta.id === 'number' ? [meta.id] : meta.id
      const [node, sequence] = parts.length === 3 ? parts.slice(1) : [this.nodeId, parts[1] ?? 0]
      const id = `${parts[0] + this.baseTime} ${node} ${sequence}`
      const subprotocol = meta.subprotocol ?? this.subprotocol
      pairs.push([data[i], { id, time: meta.time + this.baseTime, ...(subprotocol && { subprotocol }) }])
    }
    return pairs
  }

  /**
   * @param {Pair[]} pairs
   * @returns {any[]}
   */
  write(pairs) {
    return pairs.flatMap(([action, { id, time, subprotocol, channels, dots, context }]) => {
      const [ms, node, sequence] = id.split(' ')
      /** @type {Record<string, any>} */
      const meta = { id: [Number(ms) - this.baseTime, node, Number(sequence)], time: time - this.baseTime }
      if (subprotocol) meta.subprotocol = subprotocol
      if (channels) meta.channels = channels
      if (dots) Object.assign(meta, { context, dots })
      return [action, meta]
    })
  }
}

/**
 * The answer to an action. Its id follows from the action's, so that an answer that is given again is the same.
 * @param {Pair} pair
 * @param {import('../http.js').Causality & { status: string, reason?: string }} result
 * @param {number} now by the server's clock
 * @returns {Pair}
 */
export function answer([action, { id, time }], { status, reason, dots, context }, now) {
  const [ms, node, sequence] = id.split(' ')
  const undone = status === 'undone'
  const meta = {
    id: `${ms} server:http:${String(node).replaceAll(':', '.')} ${Number(sequence) * 2 + Number(undone)}`,
    // Later than the action by any clock: of two at one time the names of nodes decide, and a store that finds an undo
    // before what it undoes keeps that.
    time: Math.max(now, time + 1),
    // Of the action that is answered.
    ...(dots && { context, dots })
  }
  return [undone ? { type: 'logux/undo', id, reason, action } : { type: 'logux/processed', id }, meta]
}
