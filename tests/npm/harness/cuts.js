// Cutting a line at every frame boundary, one after the other, in both directions.

import assert from 'node:assert/strict'

import { DOWN, UP } from './proxy.js'
import { Scene } from './scene.js'

const MODES = {
  // The frame does not arrive.
  before: 'cut',
  // The frame arrives, and nothing after it.
  after: 'pass-then-cut'
}

const PARALLEL = 4

/** The rule that cuts once, at the n-th frame of a direction, counted from now. */
export function cutOnce(proxy, { dir, nth, mode }) {
  let seen = 0
  proxy.rule = frame => {
    if (frame.dir !== dir) return 'pass'
    seen += 1
    return seen === nth ? MODES[mode] : 'pass'
  }
}

/**
 * Runs `story(scene, cut)` without a cut, to learn how many frames it has in each direction, and then once for each
 * place where it can be cut. A story returns the frames that can be cut, and checks its own end.
 */
export async function everyCut(t, speaks, story) {
  const frames = await story(new Scene(t, speaks), undefined)
  const cuts = []
  for (const dir of [UP, DOWN]) {
    assert.ok(frames[dir] > 5)
    for (const mode of Object.keys(MODES)) {
      for (let nth = 1; nth <= frames[dir]; nth++) cuts.push({ dir, nth, mode })
    }
  }
  const work = cuts.values()
  const worker = async () => {
    for (const cut of work) {
      await t.test(`cut ${cut.mode} frame ${cut.nth} of ${cut.dir}`, t => story(new Scene(t, speaks), cut))
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
}
