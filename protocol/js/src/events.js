// Server-sent events out of the body of a response, because `EventSource` cannot send a token.

/**
 * The `data` of each event; null for a comment, which says that the line is alive.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string | null, void, void>}
 */
export async function* events(body) {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  /** @type {string[]} */
  let data = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      // The server breaks lines with \n alone.
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
        else if (line.startsWith(':')) yield null
        else if (line === '' && data.length > 0) {
          yield data.join('\n')
          data = []
        }
      }
    }
  } finally {
    // Who stops listening closes the line.
    reader.cancel().catch(() => {})
  }
}
