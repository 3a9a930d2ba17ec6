// The product in half a minute: what somebody would try by hand, with a sentence for each step.

/** Longest wait for devices to agree: rules of the server may keep them apart, and whoever looks may switch one off. */
const PATIENCE_MS = 10_000

/** `pace`: milliseconds from one sentence to the next, `agree` resolves when all devices have the same, or at `signal`. */
export async function tour([phone, laptop, bob], button, caption, pace, agree) {
  button.disabled = true
  let say = async (text, ...acts) => {
    caption.textContent = text
    for (let act of acts) await act()
    await new Promise(resolve => setTimeout(resolve, pace))
  }
  // The next step goes on with what all of them have.
  let shared = () => agree(AbortSignal.timeout(PATIENCE_MS))
  let isOnline = value => phone.device.switch(value)
  await say('Ann’s laptop starts a board. All three see it at once.',
    () => laptop.call('Picnic'), () => laptop.add('bread'), () => laptop.count(2), () => laptop.write('Who brings tea?'), shared)
  await say('Ann’s phone goes into a tunnel …', () => isOnline(false))
  await say('… and she goes on as if nothing were. Nothing of it is at the server yet.',
    () => phone.add('apples'), () => phone.count(1), () => phone.call('Picnic on Sunday'), () => append(phone, ' Me!'))
  await say('Meanwhile Bob edits the same things.',
    () => bob.add('lemonade'), () => bob.count(2), () => bob.call('Picnic in the park'), () => bob.write(`Hi all! ${noteOf(bob)}`))
  await say('The phone is back. Both items are there, everybody is counted, and so is what both wrote.', () => isOnline(true), shared)
  await say('Of two titles one must win: the later. Below you see why, and that all devices agree.')
  caption.textContent = 'Now you: switch devices off and on, edit, reload the page.'
  button.disabled = false
}

const noteOf = card => card.device.document.at(['note']) ?? ''
const append = (card, text) => card.write(noteOf(card) + text)
