// How a scenario talks with the test that runs it (tests/clients/oauth/dialogue.py): outcomes and
// questions go out as lines of JSON, answers come in as such.

import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const line = async () => JSON.parse((await lines.next()).value)
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`)

/** What the scenario is told before it begins. */
export const told = await line()

/** Ask for what this program can't do itself: a person at a browser, time that goes by. */
export async function ask(what, more = {}) {
  say({ ask: what, ...more })
  return line()
}

/** Try something, and say what came of it: its result, or how it was refused. */
export async function outcome(name, attempt) {
  let came
  try {
    came = { came: (await attempt()) ?? null }
  } catch (error) {
    came = { refused: refusal(error) }
  }
  say({ name, told: came })
  return came.came
}

/** End the scenario: nothing more is read. */
export function end() {
  process.exit(0)
}

// Of the library's own error the code; of an answer of the server's its RFC error and status.
function refusal(error) {
  const challenge = Array.isArray(error.cause) ? error.cause[0]?.parameters : undefined
  const found = { code: error.code, error: error.error ?? challenge?.error, status: error.status }
  // What is no refusal is a fault of the scenario.
  if (found.code === undefined || found.code.startsWith('ERR_')) throw error
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
}
